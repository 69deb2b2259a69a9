"""The prototypes that a benchmark counts as known."""

from pathlib import Path

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.packing import pack
from ase_crysdiff.metrics.prototypes import PrototypeLibrary


def known_prototypes(path: Path | None, *, workers: int, timeout: float) -> PrototypeLibrary | None:
    """The prototypes of a file of crystals, or of the shipped model of prototypes.

    Args:
        path: Packed crystals, or anything that can be packed; None takes the shipped prototypes.
        workers: Isolated processes; 0 works in this one.
        timeout: Processor seconds for one crystal.

    Returns:
        None if no file is given and no prototypes are shipped.

    Raises:
        InputError: If the file cannot be read.
    """
    if path is None:
        return None
    is_packed = path.suffix == ".safetensors"
    crystals = PackedCrystals.load(path) if is_packed else pack([path])[0]
    return PrototypeLibrary.of_crystals(path.name, crystals, workers=workers, timeout=timeout)
