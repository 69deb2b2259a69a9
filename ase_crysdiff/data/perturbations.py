"""Configurations worth labelling: a crystal as it is and seven kinds of copies out of place.

A potential learns where it was shown the surface. Relaxations start far from minima, samplers give
contacts that no database holds, and simulations run in larger cells; each perturbation below covers
one of these.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.neighbors import neighbor_list
from ase_crysdiff.networks.element_properties import covalent_radii, place

Array = NDArray[np.float64]
Species = NDArray[np.int64]


class Perturbation(IntEnum):
    """How a labelled configuration came about. The numbers stand as `kind` in archives of labels.

    0 to 5, 16 and 17 are made here, see `perturbed`; 18 comes with its energies; the others come
    with data sets from elsewhere.
    """

    UNPERTURBED = 0
    RATTLED = 1
    STRAINED = 2
    VOLUME = 3
    SUBSTITUTED = 4
    PARTIALLY_NOISED = 5
    #: Candidates of retrieval: elements of a known crystal exchanged, then relaxed.
    RELAXED_CANDIDATE = 6
    #: Elements exchanged at random, then relaxed.
    RELAXED_EXCHANGE = 7
    RATTLED_CANDIDATE = 8
    RATTLED_EXCHANGE = 9
    UNRELAXED_CANDIDATE = 10
    UNRELAXED_EXCHANGE = 11
    #: Rattled by 0.02 to 0.2 Å and slightly strained.
    RATTLED_AND_STRAINED = 12
    #: Symmetric crystals under a strain of 0.5 to 6 % alone: elasticity.
    PURELY_STRAINED = 13
    #: Supercells with one atom moved by 0.01 to 0.12 Å: phonons.
    DISPLACED_ATOM = 14
    #: Elements exchanged for near ones, volume off by up to 8 %, rattled by up to 0.08 Å.
    NEAR_EXCHANGE = 15
    SUPERCELL = 16
    COMPRESSED_PAIR = 17
    #: Blown up, with energies on the way to free atoms, see `data.expansion`.
    EXPANDED = 18

    @property
    def word(self) -> str:
        """Its name on the command line and in tables."""
        return self.name.lower()

    @property
    def keeps_composition(self) -> bool:
        """Whether the configuration has the composition of the crystal that it is named after."""
        return self not in _OTHER_COMPOSITION

    @staticmethod
    def parse(word: str) -> "Perturbation":
        """The perturbation of a word.

        Args:
            word: Such as `rattled`; the words of earlier versions are known, too.

        Raises:
            InputError: If there is none, or it cannot be made here.
        """
        key = word.strip().lower().replace("-", "_")
        found = Perturbation.__members__.get(_EARLIER_WORDS.get(key, key).upper())
        if found is None or found not in MAKERS:
            known = ", ".join(p.word for p in MAKERS)
            raise InputError(f"There is no perturbation {word!r}; known: {known}.")
        return found


_OTHER_COMPOSITION = frozenset(
    {
        Perturbation.SUBSTITUTED,
        Perturbation.RELAXED_CANDIDATE,
        Perturbation.RELAXED_EXCHANGE,
        Perturbation.RATTLED_CANDIDATE,
        Perturbation.RATTLED_EXCHANGE,
        Perturbation.UNRELAXED_CANDIDATE,
        Perturbation.UNRELAXED_EXCHANGE,
        Perturbation.NEAR_EXCHANGE,
    }
)
_EARLIER_WORDS = {
    "as_is": "unperturbed",
    "swapped": "substituted",
    "half_noised": "partially_noised",
    "doubled": "supercell",
    "pressed": "compressed_pair",
}


@dataclass(frozen=True)
class Crystal:
    """One crystal in numbers.

    Args:
        name: Shown in reports, and the key of its formation energy.
        lattice: Rows in Å, shape (3, 3).
        frac_coords: Shape (atoms, 3).
        species: Atomic numbers, shape (atoms,).
    """

    name: str
    lattice: Array
    frac_coords: Array
    species: Species


def _unperturbed(c: Crystal, rng: np.random.Generator) -> Crystal:
    return c


def _rattled(c: Crystal, rng: np.random.Generator) -> Crystal:
    """Normal displacements of 0.01 to 0.5 Å."""
    deviation = np.exp(rng.uniform(np.log(0.01), np.log(0.5)))
    return _moved(c, deviation * rng.standard_normal(c.frac_coords.shape))


def _strained(c: Crystal, rng: np.random.Generator) -> Crystal:
    """A symmetric strain with entries of at most 15 %, and displacements of 0.05 Å."""
    strain = rng.uniform(-0.15, 0.15, (3, 3))
    strained = Crystal(
        c.name, c.lattice @ (np.eye(3) + (strain + strain.T) / 2), c.frac_coords, c.species
    )
    return _moved(strained, 0.05 * rng.standard_normal(c.frac_coords.shape))


def _other_volume(c: Crystal, rng: np.random.Generator) -> Crystal:
    """0.7 to 1.4 times the volume."""
    return Crystal(c.name, c.lattice * rng.uniform(0.7, 1.4) ** (1 / 3), c.frac_coords, c.species)


def _substituted(c: Crystal, rng: np.random.Generator) -> Crystal:
    """One element replaced by another of its group, everywhere, and the volume scaled with the
    radii.
    """
    old = int(rng.choice(np.unique(c.species)))
    group = place(old)[1]
    others = [
        z
        for z in range(1, 95)
        if z != old and (place(z)[1] == group or (group >= 19 and place(z)[1] >= 19))
    ]
    if not others:
        return _rattled(c, rng)
    species = np.where(c.species == old, int(rng.choice(others)), c.species)
    radii = covalent_radii().numpy()
    scale = radii[species].mean() / radii[c.species].mean()
    return Crystal(c.name, c.lattice * scale, c.frac_coords, species)


def _partially_noised(c: Crystal, rng: np.random.Generator) -> Crystal:
    """Displacements on the torus of 0.02 to 0.15 in fractional units: what a sampler passes
    through.
    """
    deviation = rng.uniform(0.02, 0.15)
    return Crystal(
        c.name,
        c.lattice,
        (c.frac_coords + deviation * rng.standard_normal(c.frac_coords.shape)) % 1,
        c.species,
    )


def _supercell(c: Crystal, rng: np.random.Generator) -> Crystal:
    """Twice the cell along its shortest vector, rattled: displacements that no small cell holds."""
    axis = int(np.linalg.norm(c.lattice, axis=1).argmin())
    factor = np.ones(3)
    factor[axis] = 2
    half = np.zeros(3)
    half[axis] = 0.5
    frac = np.concatenate([c.frac_coords / factor, c.frac_coords / factor + half])
    return _rattled(Crystal(c.name, c.lattice * factor[:, None], frac, np.tile(c.species, 2)), rng)


def _compressed_pair(c: Crystal, rng: np.random.Generator) -> Crystal:
    """One atom moved towards its nearest neighbour, down to 0.6 to 0.85 of the sum of their
    radii.
    """
    positions = torch.from_numpy(c.frac_coords @ c.lattice)
    cells = torch.from_numpy(c.lattice)[None]
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    found = neighbor_list(positions, cells, everywhere, torch.tensor([len(c.species)]), 4.0)
    other = found.receivers != found.senders
    if not bool(other.any()):
        return _other_volume(c, rng)
    vectors = found.vectors(positions, cells, torch.zeros(len(positions), dtype=torch.long))
    lengths = torch.linalg.vector_norm(vectors, dim=-1).masked_fill(~other, torch.inf)
    atom = int(rng.choice(np.unique(found.receivers[other].numpy())))
    pair = int(torch.where(found.receivers == atom, lengths, torch.inf).argmin())
    radii = covalent_radii().numpy()
    wanted = rng.uniform(0.6, 0.85) * (
        radii[c.species[atom]] + radii[c.species[int(found.senders[pair])]]
    )
    moves = np.zeros_like(c.frac_coords)
    moves[atom] = (vectors[pair] * (1 - wanted / lengths[pair]).clamp(min=0)).numpy()
    return _moved(c, moves)


def _moved(c: Crystal, moves: Array) -> Crystal:
    return Crystal(
        c.name, c.lattice, (c.frac_coords + moves @ np.linalg.inv(c.lattice)) % 1, c.species
    )


#: What is made here, in the order in which help and messages name it.
MAKERS: dict[Perturbation, Callable[[Crystal, np.random.Generator], Crystal]] = {
    Perturbation.UNPERTURBED: _unperturbed,
    Perturbation.RATTLED: _rattled,
    Perturbation.STRAINED: _strained,
    Perturbation.VOLUME: _other_volume,
    Perturbation.SUBSTITUTED: _substituted,
    Perturbation.PARTIALLY_NOISED: _partially_noised,
    Perturbation.SUPERCELL: _supercell,
    Perturbation.COMPRESSED_PAIR: _compressed_pair,
}


def perturbed(crystal: Crystal, kind: Perturbation, rng: np.random.Generator) -> Crystal:
    """A copy of a crystal.

    Args:
        crystal: As it is.
        kind: How the copy differs; a key of `MAKERS`.
        rng: Source of displacements, strains and choices.
    """
    return MAKERS[kind](crystal, rng)


def variants(
    crystal: Crystal, kinds: Sequence[Perturbation], rng: np.random.Generator
) -> list[tuple[Perturbation, Crystal]]:
    """Copies of a crystal, each with how it differs.

    Args:
        crystal: As it is.
        kinds: How the copies differ, in order; one may be named several times.
        rng: Source of displacements, strains and choices, used by one copy after the other.
    """
    return [(kind, perturbed(crystal, kind, rng)) for kind in kinds]
