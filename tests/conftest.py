import os
from collections.abc import Callable
from pathlib import Path

import lean_checks  # noqa: F401  before anything of the package
import pytest
import torch
from toys import tiny_config, write_weights

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.testing.crystals import rattled


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def crystals() -> PackedCrystals:
    return PackedCrystals(from_structures(rattled(60)))


@pytest.fixture
def crystal_files(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of CIF files, with one among them that cannot be read if that is wanted."""

    def write(count: int, *, deviation: float = 0.02, broken: bool = False) -> Path:
        folder = tmp_path / "crystals"
        folder.mkdir()
        for i, structure in enumerate(rattled(count, deviation=deviation)):
            structure.to(filename=str(folder / f"{i:0{len(str(count - 1))}d}.cif"))
        if broken:
            (folder / "broken.cif").write_text("data_nothing\n")
        return folder

    return write


@pytest.fixture(scope="session")
def toy_miad(crystals: PackedCrystals, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained miad model of toy size."""
    folder = tmp_path_factory.mktemp("weights") / "miad"
    sampling = {"steps": 10, "corrections": {"frac_coords": 1e-5}}
    return write_weights("miad", tiny_config("miad", crystals), folder, sampling)


@pytest.fixture(scope="session")
def toy_csp(crystals: PackedCrystals, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained structure prediction model of toy size."""
    folder = tmp_path_factory.mktemp("weights") / "dao-g"
    return write_weights(
        "dao-g", tiny_config("dao-g", crystals), folder, {"steps": 10, "corrections": {}}
    )


@pytest.fixture(scope="session")
def data() -> Path:
    """The data packs; tests that need them skip where they are absent."""
    folder = os.environ.get("CRYSDIFF_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CRYSDIFF_DATA does not name a folder of data packs")
    return Path(folder)
