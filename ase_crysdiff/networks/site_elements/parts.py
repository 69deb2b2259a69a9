"""The parts of a crystal: which sites share an element, and how the parts surround each other.

All that is said here holds for the crystal, whatever its elements are called and however its
letters are chosen: a relabelling under the normaliser and a change of scale change nothing.
"""

from dataclasses import dataclass
from functools import cache
from itertools import groupby, product

import numpy as np

from ase_crysdiff.networks.scaffolds.features import position_features
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, Floats, Ints, number_of_positions, space_group

#: Distances, in units of the cube root of the volume per atom, around which neighbours are counted.
#: Neighbours of a close packing are 1.12 away, those of rock salt 1.0, of zinc blende 0.87, an
#: oxygen from the carbon of its carbonate 0.6.
SHELLS = (0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
_WIDTH = 0.12
_REACH = SHELLS[-1] + 3 * _WIDTH


@dataclass(frozen=True)
class Parts:
    """The parts of one crystal, in the order of the scaffold's elements.

    Args:
        group: Number of the space group; the lower one of an enantiomorphic pair.
        elements: Atomic number of each part.
        counts: Atoms of each part in the primitive cell.
        rows: Place of each site's position among those of all groups, see `position_row`.
        part: Part of each site.
        sites: What the position of each site shares with those of other groups, shape
            (sites, features), see `networks.scaffolds.features`.
        multiplicities: Atoms of each site in the primitive cell.
        shells: Neighbours that are atoms of part j around the average atom of part i, one number
            for each of `SHELLS`, shape (parts, parts, shells); None where no crystal is known.
    """

    group: int
    elements: tuple[int, ...]
    counts: Ints
    rows: Ints
    part: Ints
    sites: Floats
    multiplicities: Ints
    shells: Floats | None


def parts_of(crystal: SymmetricCrystal | Scaffold) -> Parts:
    """The parts of a crystal, or of a scaffold whose geometry nobody knows."""
    scaffold = crystal if isinstance(crystal, Scaffold) else crystal.scaffold
    elements = tuple(z for z, _ in groupby(scaffold.sites, key=lambda site: site[0]))
    part = np.array([elements.index(z) for z, _ in scaffold.sites])
    multiplicities = np.array([p.multiplicity for p in scaffold.positions])
    letters = [letter for _, letter in scaffold.sites]
    return Parts(
        scaffold.space_group.mirrored,
        elements,
        np.bincount(part, multiplicities).astype(np.int64),
        np.array([position_row(scaffold.group, x) for x in letters]),
        part,
        np.array([_site_features(scaffold.group, x) for x in letters]),
        multiplicities,
        None if isinstance(crystal, Scaffold) else _shells(crystal, part, multiplicities),
    )


@cache
def position_row(number: int, letter: str) -> int:
    """The place of a Wyckoff position among the 1,731 of all groups; positions that a relabelling
    exchanges share the first of their places.
    """
    group = space_group(number)
    first = int(number_of_positions()[: group.mirrored - 1].sum())
    return first + int(group.relabellings[:, LETTERS.index(letter)].min())


@cache
def _site_features(number: int, letter: str) -> Floats:
    group = space_group(number)
    return np.array(position_features(group, group.position(letter)))


def _shells(crystal: SymmetricCrystal, part: Ints, multiplicities: Ints) -> Floats:
    """Neighbours in each shell, by part of the atom and of the neighbour."""
    lattice, number = crystal.lattice, int(multiplicities.sum())
    unit = abs(float(np.linalg.det(lattice)) / number) ** (1 / 3)
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    reach = [range(-n, n + 1) for n in np.ceil(_REACH * unit / heights - 0.5).astype(int).clip(0)]
    images = np.array(list(product(*reach)), float)
    coords = crystal.frac_coords
    anchors = coords[np.cumsum(multiplicities) - multiplicities]
    between = coords[None] - anchors[:, None]
    between = between - np.rint(between)
    vectors = (between[:, :, None] + images) @ (lattice / unit)
    distances = np.sqrt((vectors**2).sum(-1))
    near = (distances < _REACH) & (distances > 1e-3)
    around, atom, _ = np.nonzero(near)
    counted = np.exp(-(((distances[near][:, None] - np.array(SHELLS)) / _WIDTH) ** 2) / 2)
    kinds = int(part.max()) + 1
    found = np.zeros((kinds, kinds, len(SHELLS)))
    weights = (multiplicities / np.bincount(part, multiplicities)[part])[around]
    np.add.at(
        found, (part[around], np.repeat(part, multiplicities)[atom]), counted * weights[:, None]
    )
    return found
