"""Atoms ↔ Configurations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.checks import FARTHEST, reciprocal

#: Arrays that engines read: a magnetic state to start from, charges, groups of atoms, isotopes.
LABELS = ("initial_magmoms", "initial_charges", "tags", "masses")


def from_atoms(atoms: Sequence[Atoms]) -> Configurations:
    """Configurations of ASE atoms in float64, in the given order; each axis is periodic as
    `atoms.pbc` says.

    Atoms are wrapped into their cell along periodic axes: energies do not change, and single
    precision keeps its digits for an atom that has travelled far.
    """
    positions = [_wrapped(a.positions, a.cell.array, a.pbc) for a in atoms]
    return Configurations(
        torch.from_numpy(np.concatenate([*positions, np.zeros((0, 3))])),
        torch.from_numpy(np.array([a.cell.array for a in atoms]).reshape(-1, 3, 3)),
        torch.from_numpy(np.array([a.pbc for a in atoms], dtype=bool).reshape(-1, 3)),
        torch.from_numpy(
            np.concatenate([*(a.numbers for a in atoms), np.zeros(0)]).astype(np.int64)
        ),
        torch.tensor([len(a) for a in atoms], dtype=torch.long),
        labels_of(atoms),
    )


def labels_of(atoms: Sequence[Atoms]) -> tuple[dict[str, Any], ...]:
    """What an engine may read of atoms beside where they are (`Configurations.labels`); nothing if
    none of them has any.
    """
    labels = []
    for a in atoms:
        arrays = {name: a.arrays[name] for name in LABELS if name in a.arrays}
        labels.append(arrays | ({"info": dict(a.info)} if a.info else {}))
    return tuple(labels) if any(labels) else ()


def to_atoms(configurations: Configurations) -> list[Atoms]:
    """ASE atoms without a calculator, in the given order, with their labels."""
    counts = configurations.num_atoms.tolist()
    return [
        _labelled(Atoms(numbers, positions, cell=cell, pbc=periodic), labels)
        for numbers, positions, cell, periodic, labels in zip(
            (part.cpu().numpy() for part in configurations.species.split(counts)),
            (part.double().cpu().numpy() for part in configurations.positions.split(counts)),
            configurations.cells.double().cpu().numpy(),
            configurations.periodic.cpu().numpy(),
            configurations.labels or ({},) * len(configurations),
            strict=True,
        )
    ]


def _labelled(atoms: Atoms, labels: Mapping[str, Any]) -> Atoms:
    for name in LABELS:
        if name in labels:
            atoms.set_array(name, np.array(labels[name]))
    atoms.info.update(labels.get("info", {}))
    return atoms


def _wrapped(
    positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> NDArray[np.float64]:
    rows = cell[periodic]
    if not (len(rows) and np.isfinite(rows).all() and (np.abs(positions) <= FARTHEST).all()):
        return positions.copy()  # as it came, for `checks` to refuse
    fractional = positions @ reciprocal(rows)
    moved: NDArray[np.float64] = positions - np.floor(fractional) @ rows
    return moved
