"""From latents of atoms back to the crystal: elements, and what decoders know of its geometry."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.geometry.embedding import positions_from_distances
from ase_crysdiff.geometry.lattice import from_parameters, to_parameters
from ase_crysdiff.geometry.pairs import Pairs, all_pairs, pair_distances
from ase_crysdiff.geometry.torus import wrap
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.species_embeddings import NUM_ELEMENTS
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.shapes import Float, Int, Tensor

#: Numbers of a crystal's geometry by name.
Geometry = Mapping[str, Tensor]

#: Random positions from which those are sought that have given distances; four times as many find a
#: tenth less of an error.
STARTS = 16


class Decoded(NamedTuple):
    """What decoders make of latents.

    Args:
        elements: Logarithms of the unnormalised probabilities of the atomic numbers, shape (atoms,
            numbers).
        geometry: The estimates of a geometry decoder.
    """

    elements: Float[Tensor, "atoms numbers"]
    geometry: Geometry


class Cells(NamedTuple):
    """Crystals without their elements.

    Args:
        lattice: Lattice vectors as rows, Å, shape (crystals, 3, 3).
        frac_coords: Fractional coordinates, shape (atoms, 3).
    """

    lattice: Float[Tensor, "crystals 3 3"]
    frac_coords: Float[Tensor, "atoms 3"]


class Quantity(NamedTuple):
    """What a number of the geometry belongs to, `pair` (of atoms), `atom` or `crystal`, and its
    unit.
    """

    level: str
    unit: str


class GeometryDecoder(nn.Module, ABC):
    """Estimates numbers of a crystal's geometry. Their units are such that mean absolute errors can
    be added up.

    Attributes:
        quantities: What is estimated, by name.
    """

    quantities: ClassVar[Mapping[str, Quantity]]

    @abstractmethod
    def forward(
        self, latent: Float[Tensor, "atoms latent"], num_atoms: Int[Tensor, " crystals"]
    ) -> dict[str, Tensor]:
        """The estimates, by name, in the units of `quantities`.

        Args:
            latent: Latents of all atoms, crystal after crystal.
            num_atoms: Atoms of each crystal.
        """

    @abstractmethod
    def targets(self, crystals: CrystalBatch) -> dict[str, Tensor]:
        """The numbers that `forward` estimates, of given crystals, by name.

        Args:
            crystals: In the order of the latents.
        """

    @abstractmethod
    def cells(
        self, geometry: Geometry, num_atoms: Int[Tensor, " crystals"], rng: RandomStream
    ) -> Cells:
        """Crystals that have such numbers, as nearly as can be. Cells that no angles allow come out
        flat or not finite.

        Args:
            geometry: Estimates, by name.
            num_atoms: Atoms of each crystal.
            rng: Random numbers for every atom, for what the estimates leave open.
        """


class InvariantDecoder(GeometryDecoder):
    """Shortest distances of all pairs of atoms (Å), and lengths (Å) and angles (radians) of the
    cell.

    They are functions of what invariant features can know, up to the choice of the Niggli cell:
    origin, orientation and order of the atoms do not enter.

    Args:
        latent: Width of the latents.
        hidden: Width of the perceptrons.
    """

    quantities: ClassVar[Mapping[str, Quantity]] = {
        "distances": Quantity("pair", "Å"),
        "lengths": Quantity("crystal", "Å"),
        "angles": Quantity("crystal", "rad"),
    }

    def __init__(self, latent: int, hidden: int = 64) -> None:
        super().__init__()
        self.sum = Linear(latent, hidden)
        self.product = Linear(latent, hidden, bias=False)
        self.itself = nn.Parameter(torch.zeros(hidden))
        self.distance = Linear(hidden, 1)
        self.cell = nn.Sequential(Linear(latent + 1, hidden), nn.SiLU(), Linear(hidden, 6))

    def forward(
        self, latent: Float[Tensor, "atoms latent"], num_atoms: Int[Tensor, " crystals"]
    ) -> dict[str, Tensor]:
        pairs = all_pairs(num_atoms)
        counts = num_atoms.to(latent.dtype).unsqueeze(-1)
        # A mean over atoms does not know how many there are, on which the cell's lengths depend.
        lengths, angles = self.cell(torch.cat([_mean(latent, num_atoms), counts.log()], -1)).chunk(
            2, -1
        )
        return {
            "distances": self._distances(latent, pairs),
            "lengths": functional.softplus(lengths) * counts ** (1 / 3),
            "angles": torch.pi / 2 + angles,
        }

    def targets(self, crystals: CrystalBatch) -> dict[str, Tensor]:
        pairs = all_pairs(crystals.num_atoms)
        lengths, angles = to_parameters(crystals.lattice)
        distances = pair_distances(
            pairs, crystals.frac_coords, crystals.lattice, crystals.num_atoms
        )
        return {"distances": distances, "lengths": lengths, "angles": torch.deg2rad(angles)}

    def cells(
        self, geometry: Geometry, num_atoms: Int[Tensor, " crystals"], rng: RandomStream
    ) -> Cells:
        lattice = from_parameters(geometry["lengths"], torch.rad2deg(geometry["angles"]))
        counts = num_atoms.tolist()
        distances = geometry["distances"].split([n * (n + 1) // 2 for n in counts])
        starts = rng.uniform(3 * STARTS).unflatten(-1, (STARTS, 3)).transpose(0, 1).split(counts, 1)
        found = [
            positions_from_distances(*each) for each in zip(distances, lattice, starts, strict=True)
        ]
        return Cells(lattice, torch.cat(found))

    def _distances(self, latent: Tensor, pairs: Pairs) -> Float[Tensor, " pairs"]:
        """Distance of every pair, Å; unchanged when the atoms of a pair change places, because
        their latents enter by sum and by product.
        """
        terms, factors = self.sum(latent), self.product(latent)
        joint = (
            terms[pairs.first] + terms[pairs.second] + factors[pairs.first] * factors[pairs.second]
        )
        joint = joint + (pairs.first == pairs.second).unsqueeze(-1) * self.itself
        return functional.softplus(self.distance(functional.silu(joint)).squeeze(-1))


class PublishedDecoder(GeometryDecoder):
    """Fractional coordinates and the lattice matrix in Å, by linear maps.

    Invariant features cannot know origin and orientation, so these errors have a floor.

    Args:
        latent: Width of the latents.

    Source: CrysLDNet (2026), stage 1.
    """

    quantities: ClassVar[Mapping[str, Quantity]] = {
        "coordinates": Quantity("atom", "fraction"),
        "lattice": Quantity("crystal", "Å"),
    }

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.coordinates = Linear(latent, 3)
        self.lattice = Linear(latent, 9)

    def forward(
        self, latent: Float[Tensor, "atoms latent"], num_atoms: Int[Tensor, " crystals"]
    ) -> dict[str, Tensor]:
        lattice = self.lattice(_mean(latent, num_atoms)).unflatten(-1, (3, 3))
        return {"coordinates": self.coordinates(latent), "lattice": lattice}

    def targets(self, crystals: CrystalBatch) -> dict[str, Tensor]:
        return {"coordinates": crystals.frac_coords, "lattice": crystals.lattice}

    def cells(
        self, geometry: Geometry, num_atoms: Int[Tensor, " crystals"], rng: RandomStream
    ) -> Cells:
        return Cells(geometry["lattice"], wrap(geometry["coordinates"]))


GEOMETRY_DECODERS = {"invariants": InvariantDecoder, "published": PublishedDecoder}


class Decoders(nn.Module):
    """Elements by a linear map, and geometry.

    Args:
        latent: Width of the latents.
        geometry: Decoder of the geometry.
    """

    def __init__(self, latent: int, geometry: GeometryDecoder) -> None:
        super().__init__()
        self.elements = Linear(latent, NUM_ELEMENTS)
        self.geometry = geometry

    def forward(
        self, latent: Float[Tensor, "atoms latent"], num_atoms: Int[Tensor, " crystals"]
    ) -> Decoded:
        """Estimates for crystals with these numbers of atoms.

        Args:
            latent: Latents of all atoms, crystal after crystal.
            num_atoms: Atoms of each crystal.
        """
        return Decoded(self.elements(latent), self.geometry(latent, num_atoms))


def _mean(
    rows: Float[Tensor, "atoms width"], num_atoms: Int[Tensor, " crystals"]
) -> Float[Tensor, "crystals width"]:
    index = torch.arange(len(num_atoms), device=rows.device).repeat_interleave(num_atoms)
    sums = rows.new_zeros(len(num_atoms), rows.shape[-1]).index_add(0, index, rows)
    return sums / num_atoms.unsqueeze(-1)
