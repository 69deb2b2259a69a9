"""What a network may know of a Wyckoff position and of a space group before it has seen a crystal.

Rare groups borrow from what they share with frequent ones: a third of the 1,731 positions occurs in
no known crystal.
"""

from functools import cache

import numpy as np
import torch
from torch import nn

from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.shapes import Float, Int, Tensor
from ase_crysdiff.symmetry.tables import LETTERS, SpaceGroup, WyckoffPosition, space_group

_FAMILIES = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "hexagonal", "cubic")
_CENTRINGS = "PACIFR"
#: Rows of the positions of every group, the same number for all.
PER_GROUP = len(LETTERS)


class PositionEmbedding(nn.Module):
    """A learned row for every Wyckoff position beside a linear map of what it shares with others.

    Args:
        hidden: Width.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        shared, exists = _positions()
        self.shared: Tensor
        self.exists: Tensor
        self.register_buffer("shared", torch.tensor(shared), persistent=False)
        self.register_buffer("exists", torch.tensor(exists), persistent=False)
        self.own = nn.Embedding(231 * PER_GROUP, hidden)
        self.common = Linear(shared.shape[-1], hidden)
        nn.init.normal_(self.own.weight, std=0.1)

    def forward(self, groups: Int[Tensor, " crystals"]) -> Float[Tensor, "crystals letters hidden"]:
        """The positions of each group, padded to 27."""
        letters = torch.arange(PER_GROUP, device=groups.device)
        rows = groups[:, None] * PER_GROUP + letters
        found: Tensor = self.own(rows) + self.common(self.shared[rows])
        return found


class GroupEmbedding(nn.Module):
    """A learned row for every space group beside a linear map of its family, centring, order and
    polarity. Row 0 is no group.

    Args:
        hidden: Width.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        shared = _groups()
        self.shared: Tensor
        self.register_buffer("shared", torch.tensor(shared), persistent=False)
        self.own = nn.Embedding(231, hidden)
        self.common = Linear(shared.shape[-1], hidden)
        nn.init.normal_(self.own.weight, std=0.1)

    def forward(self) -> Float[Tensor, "groups hidden"]:
        """All 231 rows."""
        found: Tensor = self.own.weight + self.common(self.shared)
        return found


@cache
def _positions() -> tuple["np.ndarray", "np.ndarray"]:
    """Shared features (231 * 27, features) and which rows stand for a position."""
    rows = np.zeros(
        (231, PER_GROUP, len(position_features(space_group(1), space_group(1).positions[0])))
    )
    exists = np.zeros((231, PER_GROUP), bool)
    for number in range(1, 231):
        group = space_group(number)
        for index, position in enumerate(group.positions):
            rows[number, index], exists[number, index] = position_features(group, position), True
    return rows.reshape(-1, rows.shape[-1]).astype(np.float32), exists.reshape(-1)


def position_features(group: SpaceGroup, position: WyckoffPosition) -> list[float]:
    """Multiplicity, free coordinates, order of the site symmetry, and its kinds of operations."""
    order = len(group.rotations) // position.multiplicity
    point = (
        position.origin + position.basis[0] @ np.array([0.1234, 0.2717, 0.3911])[: position.free]
    )
    images = group.rotations @ point + group.translations - point
    kept = group.rotations[np.abs(images - np.rint(images)).max(1) < 1e-6]
    traces, proper = np.trace(kept, axis1=1, axis2=2), np.linalg.det(kept) > 0
    numbers = [((traces == t) & (proper == p)).sum() for p, t in _KINDS]
    free = [float(position.free == n) for n in range(4)]
    return [np.log2(position.multiplicity) / 3, np.log2(order) / 3, *free, *np.log1p(numbers)]


#: Whether an operation is a rotation, and its trace: rotations of order 2, 3, 4, 6, then mirrors,
#: rotations of order 3, 4 and 6 with an inversion, and the inversion.
_KINDS = [(True, t) for t in (-1, 0, 1, 2)] + [(False, t) for t in (1, 0, -1, -2, -3)]
#: Free coordinates of a point that lies on nothing special.
_GENERIC = np.array([0.1234, 0.2717, 0.3911])


@cache
def _groups() -> "np.ndarray":
    rows = np.zeros((231, len(_FAMILIES) + len(_CENTRINGS) + 3), np.float32)
    for number in range(1, 231):
        group = space_group(number)
        rows[number] = [
            *(group.family == name for name in _FAMILIES),
            *(group.centring == letter for letter in _CENTRINGS),
            np.log2(len(group.rotations)) / 3,
            group.polar,
            (np.linalg.det(group.rotations) < 0).any(),
        ]
    return rows
