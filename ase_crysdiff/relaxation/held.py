"""Atoms that stay, or move in some directions only, while their crystal relaxes."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.relaxation.frechet import CELL_ROWS
from ase_crysdiff.shapes import Float, Tensor

#: For each system the projection of its atoms' moves on those that they may make, shape
#: (atoms, 3, 3); None where all atoms are free.
Moves: TypeAlias = Sequence[NDArray[np.float64] | None]


class Held:
    """The projections of a batch. A system whose forces have no part along a direction takes no
    step along it, so its atoms keep that coordinate to the last digit. As positions are those
    before the cell deformed, a cell that relaxes takes held atoms with it, as in ASE and VASP.

    Args:
        moves: Of each system of the batch.
        num_rows: Rows of the batch, those of the cell among them.
        like: A tensor of the format of the forces.
    """

    def __init__(self, moves: Moves, num_rows: int, like: Tensor) -> None:
        allowed = np.tile(np.eye(3), (len(moves), num_rows, 1, 1))
        for system, projections in enumerate(moves):
            if projections is not None:
                allowed[system, CELL_ROWS : CELL_ROWS + len(projections)] = projections
        self._allowed = torch.as_tensor(allowed).to(like)

    def allowed(self, forces: Float[Tensor, "systems rows 3"]) -> Float[Tensor, "systems rows 3"]:
        """The part of the forces that atoms may follow."""
        return torch.einsum("sri,srij->srj", forces, self._allowed)
