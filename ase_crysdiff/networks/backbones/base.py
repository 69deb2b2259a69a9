"""Backbones: networks that turn clean crystals into features, for property prediction and its
pretraining.

An encoder of a denoiser (`networks.base.Encoder`) reads node vectors that a stem has made from a
noisy state. A backbone reads crystals and their edges, embeds the elements itself and promises
features that depend on nothing but the crystal.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import nn

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.base import Features
from ase_crysdiff.shapes import Float, Int, Tensor

#: Species of an atom whose element is hidden from the network, as pretraining does.
MASKED = 0


@dataclass(frozen=True)
class Neighborhood:
    """Which edges and distances a backbone asks for.

    Args:
        neighbors: Every atom has an edge to as many nearest neighbours, and to all others that are
            no farther than the last of them by more than the tolerance for ties; 0 for no edges,
            None for all within the cutoff.
        cutoff: Å; read only where neighbours are not counted.
        profile: Ascending distances to as many nearest neighbours, for pointwise distance
            distributions; 0 for none.
        self_edges: Whether every atom has edges to its images along the edges and shorter diagonals
            of the cell. They tell the network the cell, and make features depend on its choice.

    Raises:
        InputError: If neither a number of neighbours nor a cutoff is given.
    """

    neighbors: int | None
    cutoff: float | None = None
    profile: int = 0
    self_edges: bool = False

    def __post_init__(self) -> None:
        if self.neighbors is None and self.cutoff is None:
            raise InputError(
                "A neighborhood needs a number of neighbours or a cutoff; give one of them."
            )


@dataclass(frozen=True)
class CrystalGraph:
    """Crystals and their edges.

    Args:
        crystals: Sorted by size. A species of `MASKED` hides an element.
        first: Atom where an edge begins, shape (edges,), ascending.
        second: Atom where it ends, shape (edges,). The reverse of every edge is there too.
        shifts: Cells by which the image of the second atom is displaced, shape (edges, 3).
        profile: Ascending distances from every atom to its neighbours, Å, shape (atoms,
            neighbours); may have no columns.
    """

    crystals: CrystalBatch
    first: Int[Tensor, " edges"]
    second: Int[Tensor, " edges"]
    shifts: Int[Tensor, "edges 3"]
    profile: Float[Tensor, "atoms neighbours"]

    @cached_property
    def vectors(self) -> Float[Tensor, "edges 3"]:
        """From the first to the second atom of every edge, Å; differentiable in lattices and
        coordinates.
        """
        crystals = self.crystals
        steps = (
            crystals.frac_coords[self.second]
            - crystals.frac_coords[self.first]
            + self.shifts.to(crystals.lattice.dtype)
        )
        return torch.einsum(
            "ei,eij->ej", steps, crystals.lattice[crystals.layout.batch_index[self.first]]
        )

    @cached_property
    def distances(self) -> Float[Tensor, " edges"]:
        """Lengths of the edges, Å."""
        return torch.linalg.vector_norm(self.vectors, dim=-1)

    def with_species(self, species: Int[Tensor, " atoms"]) -> "CrystalGraph":
        """The same edges between other elements."""
        return replace(self, crystals=replace(self.crystals, species=species))


class Backbone(nn.Module, ABC):
    """Crystals to features that do not change under rotations, reflections, translations and
    permutations of atoms.

    Attributes:
        hidden: Width of the features.
        neighborhood: The graph it reads.
        needs_canonical_cell: Whether features depend on which of the cells of a crystal is given.
            Then give primitive Niggli cells, always.
    """

    hidden: int
    neighborhood: Neighborhood
    needs_canonical_cell: bool = False

    @abstractmethod
    def forward(self, graph: CrystalGraph) -> Features:
        """Features of atoms, in the graph's order, and of crystals, the mean over their atoms."""
