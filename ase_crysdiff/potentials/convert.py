"""Atoms ↔ Configurations."""

from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.checks import FARTHEST, reciprocal


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
    )


def to_atoms(configurations: Configurations) -> list[Atoms]:
    """ASE atoms without a calculator, in the given order."""
    counts = configurations.num_atoms.tolist()
    return [
        Atoms(numbers, positions, cell=cell, pbc=periodic)
        for numbers, positions, cell, periodic in zip(
            (part.cpu().numpy() for part in configurations.species.split(counts)),
            (part.double().cpu().numpy() for part in configurations.positions.split(counts)),
            configurations.cells.double().cpu().numpy(),
            configurations.periodic.cpu().numpy(),
            strict=True,
        )
    ]


def _wrapped(
    positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> NDArray[np.float64]:
    rows = cell[periodic]
    if not (len(rows) and np.isfinite(rows).all() and (np.abs(positions) <= FARTHEST).all()):
        return positions.copy()  # as it came, for `checks` to refuse
    fractional = positions @ reciprocal(rows)
    moved: NDArray[np.float64] = positions - np.floor(fractional) @ rows
    return moved
