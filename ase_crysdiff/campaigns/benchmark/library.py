"""The prototypes that a benchmark counts as known."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.packing import pack
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.isolation import TIMEOUT, Workers
from ase_crysdiff.metrics.prototypes import PrototypeLibrary
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.sampling.loading import prototypes
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.storage import Store
from ase_crysdiff.symmetry.scaffold import Scaffold

#: The journal of the prototypes that were found in crystals.
LIBRARY = "library"


def prototypes_of(
    folder: Store,
    name: str,
    crystals: PackedCrystals,
    *,
    workers: Workers = 0,
    timeout: float = TIMEOUT,
) -> PrototypeLibrary:
    """The prototypes of crystals, from the folder or found now.

    Args:
        folder: Of the run.
        name: Of the library.
        crystals: Packed.
        workers: Isolated processes; 0 works in this one.
        timeout: Processor seconds for one crystal.
    """
    journal = folder.journal(LIBRARY, "crystals", "prototypes")
    for entry in journal.read():
        if entry["crystals"] == crystals.digest:
            return PrototypeLibrary(name, frozenset(entry["prototypes"]))
    library = PrototypeLibrary.of_crystals(name, crystals, workers=workers, timeout=timeout)
    journal.add([{"crystals": crystals.digest, "prototypes": sorted(library.prototypes)}])
    return library


def read_crystals(path: Path) -> PackedCrystals:
    """Crystals of a packed file, or of anything that can be packed.

    Raises:
        InputError: If the file cannot be read.
    """
    return PackedCrystals.load(path) if path.suffix == ".safetensors" else pack([path])[0]


def scaffolds_of_library(number: int, seed: int, max_atoms: int | None) -> tuple[Scaffold, ...]:
    """Scaffolds of crystals of the library that `prototypes` draws from, as often as they are its
    templates.

    Args:
        number: How many.
        seed: Of the choice.
        max_atoms: Of the largest primitive cell; None for no limit.
    """
    templates = prototypes().templates
    weights = np.diff(templates.sums(DeNovo(), None, None), prepend=0)
    if max_atoms is not None:
        weights *= templates.library.num_atoms <= max_atoms
    rows = np.random.default_rng(seed).choice(len(weights), number, p=weights / weights.sum())
    return tuple(templates.library.scaffold(row) for row in rows.tolist())


def shipped_prototypes() -> PrototypeLibrary | None:
    """The prototypes of the library that `prototypes` draws from; None where there is none."""
    try:
        folder = weight_files.find("prototypes")
        return _prototypes_in(folder, weight_files.read_card(folder).version)
    except CheckpointError:
        return None


@lru_cache(maxsize=2)
def _prototypes_in(folder: Path, version: str) -> PrototypeLibrary:
    """Those of a folder, which take seconds to find."""
    sampler = prototypes(folder)
    library = sampler.library
    found = {library.prototype(row) for row in range(len(library))}  # canonical already
    return PrototypeLibrary(f"prototypes {version}", frozenset(map(str, found)))
