"""NumPy archives of crystals: the arrays of all of them, one crystal after the other."""

from collections.abc import Iterator
from functools import partial
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from ase_crysdiff.data.reading.record import Record
from ase_crysdiff.data.reading.source import Source
from ase_crysdiff.errors import InputError

_ARRAYS = ("num_atoms", "lattice", "frac_coords", "atomic_numbers")


def has_arrays(source: Source) -> bool:
    """Whether an archive has the arrays of crystals; damaged ones may."""
    try:
        with np.load(source.path, allow_pickle=False) as file:
            return all(name in file.files for name in _ARRAYS)
    except (OSError, ValueError, BadZipFile):
        return True  # it is reported when it is read


def archive_records(source: Source, stem: str) -> Iterator[Record]:
    """The crystals of an archive with `num_atoms`, `lattice` (rows, Å) and, concatenated,
    `frac_coords` and `atomic_numbers`; named by `name` if it is there.

    Raises:
        InputError: If it is no such archive.
    """
    try:
        with np.load(source.path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise InputError(f"{source} is no readable NumPy archive ({error}).") from error
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise InputError(f"{source} has no array {', '.join(missing)}; it has {sorted(arrays)}.")
    counts, lattice, frac, numbers = (arrays[name] for name in _ARRAYS)
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    if not (len(counts) == len(lattice) and total == len(frac) == len(numbers)):
        raise InputError(
            f"{source}: num_atoms adds up to {total} for {len(counts)} crystals, but there are "
            f"{len(lattice)} lattices, {len(frac)} coordinates and {len(numbers)} atomic numbers."
        )
    names = arrays.get("name")
    for place, (end, count) in enumerate(zip(ends.tolist(), counts.tolist(), strict=True)):
        name = f"{stem}-{place}" if names is None else _text(names[place])
        own = slice(end - count, end)
        yield Record(name, partial(_structure, lattice[place], numbers[own], frac[own]))


def _text(name: object) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _structure(
    lattice: NDArray[np.floating], numbers: NDArray[np.integer], frac: NDArray[np.floating]
) -> Structure:
    rows, places = np.asarray(lattice, dtype=float), np.asarray(frac, dtype=float)
    return Structure(Lattice(rows), [int(z) for z in numbers], places)
