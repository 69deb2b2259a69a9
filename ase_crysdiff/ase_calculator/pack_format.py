"""Packed training data as a file format of ASE: `ase.io.read("train.safetensors", ":")`, `ase gui
train.safetensors`.

ASE loads this module with `ase.io`, through the entry point group `ase.ioformats`; that import is
what makes the calculator `daop` known to ASE by name. So it must be cheap, and it must not raise.
"""

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.utils.plugins import ExternalIOFormat

import ase_crysdiff.ase_calculator

pack_format = ExternalIOFormat(
    desc="Crystals packed by crysdiff",
    code="+S",
    module=ase_crysdiff.ase_calculator.__name__ + ".pack_format",
    ext="safetensors",
)


def read_crysdiff_pack(filename: str | Path, index: int | slice = -1) -> list[Atoms]:
    """Crystals of a packed file, their values by name in `atoms.info`.

    Args:
        filename: A file made by `crysdiff pack`.
        index: Which of them.

    Raises:
        InputError: If it is no packed file.
    """
    import torch

    from ase_crysdiff.crystal.convert import structure_to_atoms, to_structures
    from ase_crysdiff.data.packed import PackedCrystals

    crystals = PackedCrystals.load(filename)
    chosen = range(len(crystals))[index]
    positions = [chosen] if isinstance(chosen, int) else list(chosen)
    wanted = torch.tensor(positions, dtype=torch.long)
    values = [
        {
            name: float(column[i])
            for name, column in crystals.values.items()
            if not column[i].isnan()
        }
        for i in positions
    ]
    return [structure_to_atoms(s) for s in to_structures(crystals.batch.select(wanted), values)]


def write_crysdiff_pack(filename: str | Path, images: Sequence[Atoms]) -> None:
    """Packs fully periodic atoms for `crysdiff train`."""
    from ase_crysdiff.crystal.convert import from_atoms
    from ase_crysdiff.data.packed import PackedCrystals

    PackedCrystals(from_atoms(images), metadata={"sources": "ase"}).save(filename)
