"""The true structures of a benchmark of structure prediction."""

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import check_structure, to_structures
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.readers import read_records
from ase_crysdiff.errors import InputError
from ase_crysdiff.progress import tqdm


@dataclass(frozen=True)
class Targets:
    """Structures to be predicted, in the cells of their file.

    Args:
        names: Their names in the file.
        structures: The structures.
    """

    names: tuple[str, ...]
    structures: tuple[Structure, ...]

    @property
    def compositions(self) -> list[tuple[tuple[int, int], ...]]:
        """Atomic numbers and counts of each whole cell, never reduced."""
        return [
            tuple(sorted(Counter(site.specie.Z for site in s).items())) for s in self.structures
        ]

    @property
    def digest(self) -> str:
        """SHA-256 over lattices, species and coordinates, rounded to 1e-5."""
        digest = hashlib.sha256()
        for structure in self.structures:
            numbers = np.concatenate(
                [structure.lattice.matrix.ravel(), structure.frac_coords.ravel()]
            )
            digest.update(np.round(numbers * 1e5).astype(np.int64).tobytes())
            digest.update(np.array([site.specie.Z for site in structure], dtype=np.int64).tobytes())
        return digest.hexdigest()

    def described(self, source: str) -> dict[str, Any]:
        """Which targets a result is about: file, count and digest.

        Args:
            source: Name of the file, or of what else they come from.
        """
        return {"file": source, "count": len(self.names), "sha256": self.digest}


def read_targets(path: Path, limit: int | None, progress: bool | None = None) -> Targets:
    """The first `limit` structures of a file: packed, or of any kind that `crysdiff pack` reads.

    Args:
        path: The file.
        limit: At most so many; None takes all.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If the file cannot be read, holds nothing, or holds an entry that is no ordered
            crystal: a benchmark on the rest would be another benchmark.
    """
    if path.suffix == ".safetensors":
        batch = PackedCrystals.load(path).batch
        count = len(batch) if limit is None else min(limit, len(batch))
        structures = to_structures(batch.select(range(count)))
        for i, structure in enumerate(structures):
            _check(structure, path, str(i))
        return Targets(tuple(str(i) for i in range(count)), tuple(structures))
    names, structures = [], []
    disable = None if progress is None else not progress
    for record in tqdm(
        itertools.islice(read_records(path), limit),
        desc=path.name,
        unit=" targets",
        disable=disable,
    ):
        try:
            structure = record.load()
        except Exception as error:
            raise InputError(
                f"{path.name}: target {record.name!r} cannot be read ({error}). Repair or remove "
                "it."
            ) from error
        _check(structure, path, record.name)
        names.append(record.name)
        structures.append(structure)
    if not structures:
        raise InputError(f"{path} holds no structures.")
    return Targets(tuple(names), tuple(structures))


def _check(structure: Structure, path: Path, name: str) -> None:
    try:
        check_structure(structure)
        reason = gate(structure)
    except InputError as error:
        reason = str(error)
    if reason is not None:
        raise InputError(
            f"{path.name}: target {name!r} cannot be used ({reason}). Repair or remove it."
        )
