"""Positions and cells as one set of rows to minimise over, as ASE's `FrechetCellFilter` has them.

A system of n atoms has n + 3 rows: first three for the cell, n U with U = log F the logarithm of
the deformation that takes the first cell to the present one, then the positions with that
deformation taken back. Systems are padded at the end.
Source: the variables and their scale are those of `ase.filters.FrechetCellFilter` in ASE 3.29.
"""

from dataclasses import dataclass, replace

import torch

from ase_crysdiff.potentials.base import Configurations, Evaluation
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

CELL_ROWS = 3
#: Largest entry of U: beyond it a cell is lost anyway, and the exponential of the rows must stay
#: finite.
_MAX_LOG = 5.0


@dataclass(frozen=True)
class FrechetRows:
    """Which rows stand for what.

    Args:
        first_cells: Cells at the start, rows are vectors, Å.
        num_atoms: Atoms of each system.
        relax_cell: Whether cells move; if not, their rows stay zero.
    """

    first_cells: Float[Tensor, "systems 3 3"]
    num_atoms: Int[Tensor, " systems"]
    relax_cell: bool

    @property
    def is_atom(self) -> Bool[Tensor, "systems atom_rows"]:
        """Which of the rows after the cell's hold an atom."""
        size = int(self.num_atoms.max()) if len(self.num_atoms) else 0
        return torch.arange(size, device=self.num_atoms.device) < self.num_atoms[:, None]

    def start(self, positions: Float[Tensor, "atoms 3"]) -> Float[Tensor, "systems rows 3"]:
        """The rows of undeformed systems."""
        return torch.cat([torch.zeros_like(self.first_cells), self._padded(positions)], 1)

    def place(
        self, rows: Float[Tensor, "systems rows 3"], systems: Configurations
    ) -> Configurations:
        """The systems with the positions and cells that the rows say."""
        atoms = rows[:, CELL_ROWS:]
        if not self.relax_cell:
            return replace(systems, positions=atoms[self.is_atom])
        deformation = torch.linalg.matrix_exp(
            self._log(rows)
        ).mT  # acts on row vectors from the right
        return replace(
            systems,
            positions=(atoms @ deformation)[self.is_atom],
            cells=self.first_cells @ deformation,
        )

    def forces(
        self, rows: Float[Tensor, "systems rows 3"], systems: Configurations, found: Evaluation
    ) -> Float[Tensor, "systems rows 3"]:
        """Minus the gradient of the energy over the rows, eV/Å, from finite forces and stresses.

        The gradient over U is the adjoint of the derivative of the exponential, applied to the
        gradient over F. That adjoint is the derivative at Uᵀ, which one exponential of a matrix of
        twice the size holds in its corner.

        Source: Al-Mohy and Higham 2009, SIAM J. Matrix Anal. Appl. 30, 1639 (the block triangular
        identity).
        """
        atoms = self._padded(found.forces.to(rows.dtype))
        if not self.relax_cell:
            return torch.cat([torch.zeros_like(self.first_cells), atoms], 1)
        log = self._log(rows)
        deformation = torch.linalg.matrix_exp(log)
        volumes = torch.linalg.det(systems.cells).abs()
        virial = -volumes[:, None, None] * found.stress.to(rows.dtype)
        slope = torch.linalg.solve(deformation, virial.mT).mT  # W F⁻ᵀ, as the virial is symmetric
        double = torch.zeros(len(rows), 6, 6, dtype=rows.dtype, device=rows.device)
        double[:, :3, :3] = double[:, 3:, 3:] = log.mT
        double[:, :3, 3:] = slope
        cell = torch.linalg.matrix_exp(double)[:, :3, 3:] / self.num_atoms[:, None, None]
        return torch.cat([cell, atoms @ deformation], 1)

    def _log(self, rows: Float[Tensor, "systems rows 3"]) -> Float[Tensor, "systems 3 3"]:
        return (rows[:, :CELL_ROWS] / self.num_atoms[:, None, None]).clamp(-_MAX_LOG, _MAX_LOG)

    def _padded(self, values: Float[Tensor, "atoms 3"]) -> Float[Tensor, "systems atom_rows 3"]:
        present = self.is_atom
        padded = torch.zeros(*present.shape, 3, dtype=values.dtype, device=values.device)
        padded[present] = values
        return padded
