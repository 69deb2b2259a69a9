"""Given blocks in the places of those of a known framework."""

from itertools import permutations, product

import numpy as np
from scipy.spatial.distance import cdist

from ase_crysdiff.crystal.reduction import Cell
from ase_crysdiff.frameworks.blocks import Array, BuildingBlock
from ase_crysdiff.frameworks.cutting import is_metal, pairs_with_offsets
from ase_crysdiff.prototypes.frameworks.kinds import Ints
from ase_crysdiff.prototypes.frameworks.library import FrameworkLibrary
from ase_crysdiff.prototypes.frameworks.retrieval import Candidate, Wanted

#: Å; how far atoms of two blocks may be from each other to be looked at.
_REACH = 6.0
#: Factors of the edges of a cell that are tried.
_FACTORS = np.linspace(0.7, 1.5, 81)
#: Å by which two atoms on the same place, of which one is a metal, count as apart.
_OTHER = 2.0


def assembled(library: FrameworkLibrary, wanted: Wanted, candidate: Candidate) -> Cell:
    """The blocks in their places, in the order in which they are given.

    A block that is like the one it stands for lies upon it; another one has its principal axes
    along those, in the sense in which their atoms come nearest to each other. The cell is stretched
    or shrunk evenly until the blocks touch each other as closely as those of the framework.

    Args:
        library: Known frameworks.
        wanted: The blocks.
        candidate: Which framework, and who takes whose place.
    """
    known = library.arrangement(candidate.row)
    places = np.array(candidate.places)
    kinds, centres = known.kinds[places], known.centres[places]
    turned = []
    for number, kind in enumerate(kinds.tolist()):
        block, turn = wanted.blocks[number], wanted.turns[number].get(kind)
        if turn is None:
            turn = laid_upon(block, library.kinds.blocks[kind])
        turned.append(block.positions @ (known.rotations[places[number]] @ turn).T)
    lattice = known.lattice
    if not candidate.known:
        theirs = [library.kinds.blocks[k] for k in known.kinds.tolist()]
        own = [b.positions @ r.T for b, r in zip(theirs, known.rotations, strict=True)]
        wish = _Contacts(known.lattice, known.centres, own).closest(1.0)
        lattice = lattice * _Contacts(lattice, centres, turned).factor(wish)
    inverse = np.linalg.inv(lattice)
    frac = [centre + atoms @ inverse for centre, atoms in zip(centres, turned, strict=True)]
    species = np.concatenate([block.species for block in wanted.blocks])
    return Cell(lattice, np.concatenate(frac) % 1.0, species)


def laid_upon(block: BuildingBlock, other: BuildingBlock) -> Array:
    """The rotation that lays the principal axes of a block along those of another one, such that
    its atoms lie nearest to atoms there, metals to metals: `other ~ block.positions @ rotation.T`.
    """
    mine, theirs = _axes(block.positions), _axes(other.positions)
    apart = _OTHER * (is_metal(block.species)[:, None] != is_metal(other.species))
    best, found = np.inf, np.eye(3)
    for way in _WAYS:
        rotation = theirs @ way @ mine.T
        distances = cdist(block.positions @ rotation.T, other.positions) + apart
        misfit = distances.min(0).mean() + distances.min(1).mean()
        if misfit < best - 1e-6:
            best, found = misfit, rotation
    return found


def _axes(positions: Array) -> Array:
    """Principal axes as columns, the longest extent first, right-handed."""
    axes = np.linalg.eigh(positions.T @ positions)[1][:, ::-1]
    return axes * np.array([1.0, 1.0, np.linalg.det(axes)])


def _ways() -> list[Array]:
    """The 24 rotations of a cube, those that keep the order of the axes first."""
    found = [
        np.diag(signs) @ np.eye(3)[:, order]
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    return [way for way in found if np.linalg.det(way) > 0]


_WAYS = _ways()


class _Contacts:
    """Pairs of atoms of different blocks, and how far apart they are in a stretched cell.

    Args:
        lattice: Rows in Å.
        centres: Of the blocks, fractional.
        turned: The atoms of each block about its centre, Å.
    """

    def __init__(self, lattice: Array, centres: Array, turned: list[Array]) -> None:
        block = np.repeat(np.arange(len(turned)), [len(atoms) for atoms in turned])
        atoms = np.concatenate(turned)
        middle = (centres @ lattice)[block]
        frac = (middle + atoms) @ np.linalg.inv(lattice)
        first, second, offsets, _ = pairs_with_offsets(
            Cell(lattice, frac, np.ones(len(atoms), dtype=np.int64)), _REACH
        )
        across = (block[first] != block[second]) | (offsets != 0).any(-1)
        first, second, offsets = first[across], second[across], offsets[across]
        self.way: Array = middle[second] + offsets @ lattice - middle[first]
        self.rest: Array = atoms[second] - atoms[first]

    def closest(self, factor: float) -> float:
        """Least distance, Å; `_REACH` where there is none."""
        if not len(self.way):
            return _REACH
        return float(np.linalg.norm(factor * self.way + self.rest, axis=-1).min())

    def factor(self, wish: float) -> float:
        """By which to stretch so that the least distance comes nearest to a wish, Å."""
        misses = np.array([abs(self.closest(factor) - wish) for factor in _FACTORS])
        near: Ints = np.flatnonzero(misses < misses.min() + 0.05)
        return float(_FACTORS[near[np.abs(_FACTORS[near] - 1).argmin()]])
