"""Atoms and the edges between them: the one record that networks read, and how it is made.

Every edge has a *sender* and a *receiver*: its vector leads from the receiver to the image of the
sender, and messages are added up at receivers (`message_passing.aggregate`). Edges are sorted by
receiver, and the reverse of every edge is there too.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.nearest import Nearest, nearest_neighbors
from ase_crysdiff.geometry.neighbors import Neighbors, neighbor_list
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

#: Species of an atom whose element is hidden from the network, as pretraining does.
MASKED = 0
#: Images of an atom that it has self-edges to, with their opposites. Source: Yan et al. 2022
#: (Matformer), code.
_SELF_IMAGES = ((0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))


@dataclass(frozen=True)
class Neighborhood:
    """Which edges and distances a network asks for.

    Args:
        neighbors: Every atom has an edge to as many nearest neighbours, and to all others that are
            no farther than the last of them by more than the tolerance for ties; 0 for no edges,
            None for all within the cutoff.
        cutoff: Å; read only where neighbours are not counted.
        reach: Two atoms see each other at least as far as this multiple of the sum of their
            covalent radii, whatever the cutoff: 5 Å do not hold the nearest neighbours of caesium.
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
    reach: float = 0.0

    def __post_init__(self) -> None:
        if self.neighbors is None and self.cutoff is None:
            raise InputError(
                "A neighborhood needs a number of neighbours or a cutoff; give one of them."
            )

    def cutoffs(
        self, first: Int[Tensor, " pairs"], second: Int[Tensor, " pairs"], dtype: torch.dtype
    ) -> Float[Tensor, " pairs"]:
        """How far two atoms see each other, Å.

        Args:
            first: Atomic numbers.
            second: Atomic numbers.
            dtype: Of the result.
        """
        radii = covalent_radii(dtype).to(first.device)
        return self.limits(radii[first] + radii[second])

    def limits(self, bonds: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
        """How far atoms see each other whose covalent radii add up to these lengths, Å."""
        assert self.cutoff is not None
        return (self.reach * bonds).clamp_min(self.cutoff)

    def pairs(
        self,
        positions: Float[Tensor, "atoms 3"],
        cells: Float[Tensor, "systems 3 3"],
        periodic: Bool[Tensor, "systems 3"],
        species: Int[Tensor, " atoms"],
        num_atoms: Int[Tensor, " systems"],
    ) -> Neighbors:
        """All pairs of atoms that see each other, where neighbours are not counted.

        Args:
            positions: Å, anywhere.
            cells: Lattice vectors as rows, Å.
            periodic: Which axes repeat.
            species: Atomic numbers.
            num_atoms: Atoms of each system.

        Raises:
            InputError: If a cell cannot be searched, see `neighbor_list`.
        """
        assert self.cutoff is not None
        if not self.reach:
            return neighbor_list(positions, cells, periodic, num_atoms, self.cutoff)
        index = segment_index(num_atoms)
        own = self.cutoffs(species, species, torch.float64)
        farthest = own.new_full((len(num_atoms),), self.cutoff).scatter_reduce(
            0, index, own, "amax"
        )
        return neighbor_list(
            positions,
            cells,
            periodic,
            num_atoms,
            farthest,
            lambda i, j: self.cutoffs(species[i], species[j], torch.float64),
        )


@dataclass(frozen=True)
class Graph:
    """Atoms of any number of systems (crystals, slabs, molecules) and the edges between them.

    Args:
        species: Atomic numbers, shape (atoms,); `MASKED` hides an element.
        systems: Number of the system that each atom belongs to, ascending, shape (atoms,).
        num_systems: How many systems there are.
        receivers: Atom at which the message of an edge arrives, ascending, shape (edges,).
        senders: Atom whose image sends it, shape (edges,).
        cell_offsets: Cells by which the image of the sender is displaced, shape (edges, 3).
        vectors: From the receiver to the image of the sender, Å, shape (edges, 3). All that depends
            on the geometry depends on them, so that a gradient with respect to them gives forces.
    """

    species: Int[Tensor, " atoms"]
    systems: Int[Tensor, " atoms"]
    num_systems: int
    receivers: Int[Tensor, " edges"]
    senders: Int[Tensor, " edges"]
    cell_offsets: Int[Tensor, "edges 3"]
    vectors: Float[Tensor, "edges 3"]

    @staticmethod
    def of_pairs(
        species: Int[Tensor, " atoms"],
        systems: Int[Tensor, " atoms"],
        num_systems: int,
        pairs: Neighbors,
        vectors: Float[Tensor, "edges 3"],
    ) -> "Graph":
        """The graph whose edges are the pairs of a neighbour list, with their vectors in Å.

        Args:
            species: Atomic numbers.
            systems: The system of each atom.
            num_systems: How many systems there are.
            pairs: Of the neighbour list, sorted by the first atom, which becomes the receiver.
            vectors: Of every pair from its first to its second atom, Å.
        """
        return Graph(
            species,
            systems,
            num_systems,
            pairs.receivers,
            pairs.senders,
            pairs.cell_offsets,
            vectors,
        )

    @cached_property
    def distances(self) -> Float[Tensor, " edges"]:
        """Lengths of the edges, Å."""
        return torch.linalg.vector_norm(self.vectors, dim=-1)


@dataclass(frozen=True)
class CrystalGraph(Graph):
    """The graph of a batch of crystals, with what encoders may read besides edges.

    Args:
        crystals: Sorted by size; the systems of the graph.
        profile: Ascending distances from every atom to its nearest neighbours, Å, shape (atoms,
            neighbours); may have no columns.
    """

    crystals: CrystalBatch
    profile: Float[Tensor, "atoms neighbours"]

    @staticmethod
    def of(
        crystals: CrystalBatch, pairs: Neighbors, profile: Float[Tensor, "atoms neighbours"]
    ) -> "CrystalGraph":
        """The graph of crystals whose pairs are known; its vectors are differentiable in lattices
        and coordinates.

        Args:
            crystals: Sorted by size.
            pairs: Of the crystals' atoms, sorted by the first.
            profile: Ascending distances from every atom to its nearest neighbours, Å.
        """
        systems = crystals.layout.batch_index
        steps = (
            crystals.frac_coords[pairs.senders]
            - crystals.frac_coords[pairs.receivers]
            + pairs.cell_offsets.to(crystals.lattice.dtype)
        )
        vectors = torch.einsum("ei,eij->ej", steps, crystals.lattice[systems[pairs.receivers]])
        return CrystalGraph(
            crystals.species,
            systems,
            len(crystals),
            pairs.receivers,
            pairs.senders,
            pairs.cell_offsets,
            vectors,
            crystals,
            profile,
        )

    @property
    def pairs(self) -> Neighbors:
        """The edges as pairs of a neighbour list, receivers first."""
        return Neighbors(self.receivers, self.senders, self.cell_offsets)

    def with_species(self, species: Int[Tensor, " atoms"]) -> "CrystalGraph":
        """A graph with these edges between other elements.

        Args:
            species: Atomic numbers, `MASKED` for a hidden element.
        """
        return replace(self, species=species, crystals=replace(self.crystals, species=species))


def build_graph(crystals: CrystalBatch, neighborhood: Neighborhood) -> CrystalGraph:
    """The graph of crystals.

    Args:
        crystals: Sorted by size, each with at least one atom.
        neighborhood: Which edges and distances.

    Raises:
        ShapeError: If the crystals are not sorted, or one is empty.
        InputError: If the vectors of a cell are not finite and independent, or lie so densely that
            no search is sensible.
    """
    assert crystals.layout.sizes  # a layout refuses what is empty or not sorted
    found = find_edges(crystals, neighborhood)
    return CrystalGraph.of(crystals, found.neighbors, found.profile)


def find_edges(crystals: CrystalBatch, neighborhood: Neighborhood) -> Nearest:
    """Pairs and profile of crystals in any order of size.

    Args:
        crystals: Each with at least one atom.
        neighborhood: Which edges and distances.

    Returns:
        Pairs of atoms of the batch, sorted by the first, and the profile in the number format of
        the lattices.

    Raises:
        InputError: If the vectors of a cell are not finite and independent, or lie so densely that
            no search is sensible.
    """
    cells, counts = crystals.lattice.double(), crystals.num_atoms
    owner = torch.arange(len(crystals), device=cells.device).repeat_interleave(counts)
    positions = (crystals.frac_coords.double().unsqueeze(-1) * cells[owner]).sum(-2)
    nearest = nearest_neighbors(
        positions, cells, counts, neighborhood.neighbors or 0, neighborhood.profile
    )
    pairs = nearest.neighbors
    if neighborhood.neighbors is None:
        periodic = torch.ones(len(cells), 3, dtype=torch.bool, device=cells.device)
        pairs = neighborhood.pairs(positions, cells, periodic, crystals.species, counts)
    if neighborhood.self_edges:
        pairs = _with_self_edges(pairs, len(positions))
    return Nearest(pairs, nearest.profile.to(crystals.lattice.dtype))


def _with_self_edges(pairs: Neighbors, atoms: int) -> Neighbors:
    """Adds the self-edges that the nearest neighbours do not hold already."""
    images = torch.tensor(_SELF_IMAGES, device=pairs.receivers.device)
    images = torch.cat([images, -images])
    own = torch.nonzero(pairs.receivers == pairs.senders).flatten()
    number = (pairs.cell_offsets[own].unsqueeze(1) == images).all(-1)  # (own edges, images)
    has = torch.zeros(atoms, len(images), dtype=torch.bool, device=images.device)
    row, column = torch.nonzero(number, as_tuple=True)
    has[pairs.receivers[own[row]], column] = True
    atom, image = torch.nonzero(~has, as_tuple=True)
    first, second = torch.cat([pairs.receivers, atom]), torch.cat([pairs.senders, atom])
    order = torch.argsort(first, stable=True)
    return Neighbors(
        first[order], second[order], torch.cat([pairs.cell_offsets, images[image]])[order]
    )
