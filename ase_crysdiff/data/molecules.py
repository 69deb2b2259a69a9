"""Molecules as training data: groups of a heavy atom and its hydrogens, and archives of QM9."""

import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.crystal.molecule_space import molecules
from ase_crysdiff.crystal.molecules import group_order
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Tensor

#: Columns of an archive that become values of the packed file.
COLUMNS = ("homo", "lumo", "gap", "dipole", "heat_capacity", "internal_energy")

Numbers = NDArray[Any]


def read_archive(path: Path) -> PackedCrystals:
    """An archive of molecules: `num_atoms`, and concatenated `atomic_numbers` and `positions` (Å),
    with columns of properties beside. Molecules without a heavy atom, or with a hydrogen that is on
    none, are left out and counted in the metadata.

    Raises:
        InputError: If the file is missing, damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            entries = {name: archive[name] for name in archive.files}
        counts = entries["num_atoms"].astype(int)
        species, positions = entries["atomic_numbers"].astype(int), entries["positions"]
        names = [str(name, "ascii") for name in entries.get("smiles", np.array([], "S1"))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read as an archive of molecules ({error!r}). It must hold "
            "num_atoms, atomic_numbers and positions."
        ) from error
    ends = np.cumsum(counts)
    batch, kept = grouped(
        (species[end - n : end], positions[end - n : end])
        for n, end in zip(counts, ends, strict=True)
    )
    values = {n: torch.from_numpy(entries[n][kept]).float() for n in COLUMNS if n in entries}
    metadata = {
        "sources": path.name,
        "crystals": str(len(kept)),
        "left_out": str(len(counts) - len(kept)),
        "matter": "molecules",
    }
    return PackedCrystals(batch, values, metadata, names=tuple(names[i] for i in kept if names))


def is_archive(path: Path) -> bool:
    """Whether a file is an archive of molecules: one of places and numbers of atoms without cells,
    which archives of labels have.
    """
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = {Path(name).stem for name in archive.namelist()}
    return {"num_atoms", "atomic_numbers", "positions"} <= names and "lattice" not in names


def grouped(atoms: Iterator[tuple[Numbers, Numbers]]) -> tuple[CrystalBatch, list[int]]:
    """Molecules with their rows in the order of groups, and which of them could be brought there.

    Args:
        atoms: Atomic numbers and places (Å) of each molecule.

    Raises:
        InputError: If there is none.
    """
    species, positions, counts, kept = [], [], [], []
    for number, (z, x) in enumerate(atoms):
        order = group_order(z, x)
        if order is None:
            continue
        kept.append(number)
        counts.append(len(z))
        species.append(z[order])
        positions.append((x - x.mean(0))[order])
    if not kept:
        raise InputError("There is no molecule with a heavy atom. Give at least one.")
    batch = molecules(
        torch.from_numpy(np.concatenate(positions)).float(),
        torch.from_numpy(np.concatenate(species)).long(),
        torch.tensor(counts),
    )
    return batch, kept


def spread(batch: CrystalBatch) -> float:
    """Standard deviation of the places about the centres of their molecules, Å."""
    ordered, _ = batch.sorted()
    centred = ordered.layout.centred(ordered.frac_coords.double())
    return round(float(centred.square().mean().sqrt()), 4)


def group_histogram(batch: CrystalBatch) -> dict[str, int]:
    """How many molecules have which groups, such as `{"C C H H H O H": 12}` without spaces."""
    found = Counter(
        written(groups_of(own)) for own in batch.species.split(batch.num_atoms.tolist())
    )
    return dict(sorted(found.items(), key=lambda entry: (-entry[1], entry[0])))


def groups_of(species: Tensor) -> tuple[tuple[int, int], ...]:
    """Element and number of hydrogens of each group of a molecule, sorted.

    Args:
        species: Atomic numbers, group by group.
    """
    found: list[list[int]] = []
    for z in species.tolist():
        if z > 1:
            found.append([z, 0])
        elif found:
            found[-1][1] += 1
    return tuple(sorted((z, n) for z, n in found))


def written(groups: Sequence[tuple[int, int]]) -> str:
    """Groups as text, such as `C0 C3 O1`."""
    return " ".join(f"{SYMBOLS[z]}{n}" for z, n in groups)
