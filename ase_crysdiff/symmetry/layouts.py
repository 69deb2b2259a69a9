"""Crystals of one kind of scaffold as linear maps: from free numbers to atoms and back.

A kind is a space group with the letters of its sites in order; elements do not matter. Free numbers
are padded to three for every site, so that kinds of equally many sites share shapes.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ase_crysdiff.symmetry.operations import Operations
from ase_crysdiff.symmetry.tables import LETTERS, Floats, Ints, space_group

#: Space group, and places of the letters in the alphabet, site after site.
Kind = tuple[int, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class KindMaps:
    """The maps of a kind of N atoms and S sites, in the primitive standard cell.

    Args:
        spread: How atoms move with the free numbers, shape (N, 3, S, 3); 0 where one is padding.
        offsets: Atoms where all free numbers are 0, shape (N, 3).
        gather: From vectors of atoms to free numbers, shape (S, 3, N, 3): the average over the
            group at the first point of each site, in the basis of its free numbers.
        free: Which free numbers there are, shape (S, 3).
        positions: Row of each site's position in `anchor_images`, shape (S,).
        site: Site of each atom, shape (N,).
    """

    spread: Floats
    offsets: Floats
    gather: Floats
    free: Ints
    positions: Ints
    site: Ints


def kind_maps(kind: Kind) -> KindMaps:
    """The maps of a kind."""
    number, letters = kind
    group = space_group(number)
    positions = [group.positions[index] for index in letters]
    sizes = [position.multiplicity for position in positions]
    atoms, sites = sum(sizes), len(letters)
    spread, offsets = np.zeros((atoms, 3, sites, 3)), np.zeros((atoms, 3))
    gather, free = np.zeros((sites, 3, atoms, 3)), np.zeros((sites, 3), np.int64)
    start = 0
    for site, position in enumerate(positions):
        rows, d = slice(start, start + position.multiplicity), position.free
        spread[rows, :, site, :d] = position.basis
        offsets[rows] = position.offsets
        free[site, :d] = 1
        if d:
            average = _average_at_anchor(number, letters[site])  # (points, 3, 3)
            left = np.linalg.pinv(position.basis[0].astype(float))
            gather[site, :d, rows] = np.einsum("di,bij->bdj", left, average).transpose(1, 0, 2)
        start += position.multiplicity
    index = np.array([_first_position(number) + letter for letter in letters])
    return KindMaps(spread, offsets, gather, free, index, np.repeat(np.arange(sites), sizes))


@cache
def _average_at_anchor(number: int, letter: int) -> Floats:
    """The average over the group of an orbit's vectors, at its first point: 1/|G| Σ R_g v_g⁻¹(0) as
    one matrix for each point, shape (points, 3, 3).
    """
    from ase_crysdiff.symmetry.crystal import orbit_permutations

    group = space_group(number)
    images = orbit_permutations(number, LETTERS[letter])
    found = np.zeros((group.positions[letter].multiplicity, 3, 3))
    sources = images.argsort(1)[:, 0]  # the point that each operation takes to the first one
    np.add.at(found, sources, group.rotations / len(group.rotations))
    return found


@cache
def gram_average(number: int) -> Floats:
    """The average over the group of scalar products of lattice vectors, G ↦ mean RᵀGR, as a matrix
    (9, 9) on their nine entries; primitive standard cell.
    """
    group = space_group(number)
    nobody = np.zeros((len(group.rotations), 0), np.int64)
    return Operations(group.rotations, group.translations, nobody).gram_matrix


@cache
def _first_position(number: int) -> int:
    """Row of position a of a group in the list of all 1,731."""
    return sum(len(space_group(n).positions) for n in range(1, number))


@cache
def anchor_images() -> tuple[Floats, Floats, Ints]:
    """Free numbers that describe the same orbit, for all 1,731 positions.

    An orbit meets the subspace of its first point in several points; each may be called the first.
    With the free numbers u of one of them, matrices @ u + shifts are those of all of them.

    Returns:
        Matrices (1731, 48, 3, 3), shifts (1731, 48, 3), how many there are (1731,); the rest
        repeats the first, which changes nothing.
    """
    all_matrices, all_shifts, counts = [], [], []
    for number in range(1, 231):
        for position in space_group(number).positions:
            matrices, shifts = np.tile(np.eye(3), (48, 1, 1)), np.zeros((48, 3))
            inverse, d, count = np.linalg.inv(position.frame), position.free, 0
            along = inverse @ position.basis
            away = (position.offsets - position.offsets[0]) @ inverse.T
            for turned, shift in zip(along, away, strict=True):
                across = shift[d:] - np.rint(shift[d:])
                if np.abs(turned[d:]).max(initial=0) > 1e-6 or np.abs(across).max(initial=0) > 1e-6:
                    continue
                matrices[count, :d, :d] = turned[:d]
                shifts[count, :d] = shift[:d]
                count += 1
            all_matrices.append(matrices)
            all_shifts.append(shifts)
            counts.append(count)
    return np.array(all_matrices), np.array(all_shifts), np.array(counts)
