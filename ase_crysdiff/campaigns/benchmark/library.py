"""The prototypes that a benchmark counts as known."""

from pathlib import Path

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.packing import pack
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.isolation import TIMEOUT, Workers
from ase_crysdiff.metrics.prototypes import PrototypeLibrary
from ase_crysdiff.sampling.loading import prototypes
from ase_crysdiff.storage import Store

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


def shipped_prototypes() -> PrototypeLibrary | None:
    """The prototypes of the library that `prototypes` draws from; None where there is none."""
    try:
        sampler = prototypes()
    except CheckpointError:
        return None
    library = sampler.library
    found = {library.prototype(row) for row in range(len(library))}
    return PrototypeLibrary.of(f"prototypes {sampler.card.sha256[:12]}", found)
