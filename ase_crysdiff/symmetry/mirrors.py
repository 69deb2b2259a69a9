"""Mirror images of crystals in the 22 space groups that come in pairs, such as P4_1 and P4_3."""

from functools import cache

import numpy as np

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.tables import Floats, enantiomorph, space_group


def mirror_image(crystal: SymmetricCrystal) -> SymmetricCrystal:
    """The crystal inverted at the origin, which lies in the other space group of its pair.

    The standard settings of both groups of a pair are each other's inversion, so that the cell
    stays.

    Args:
        crystal: In a group with a screw axis that turns one way.

    Raises:
        InputError: If its group is its own mirror image.
    """
    group = crystal.scaffold.space_group
    other = enantiomorph(group.number)
    if other == group.number:
        raise InputError(
            f"{group.symbol} is its own mirror image; only the groups of enantiomorphic pairs have "
            "another one."
        )
    ends = np.cumsum([position.free for position in crystal.scaffold.positions])
    parts = np.split(crystal.free_numbers, ends[:-1])
    sites = []
    for (number, letter), numbers in zip(crystal.scaffold.sites, parts, strict=True):
        letter, matrix, offset = _inverted(group.number, letter)
        sites.append(((number, letter), (matrix @ numbers + offset) % 1.0))
    return SymmetricCrystal.of_sites(other, crystal.lattice, sites)


@cache
def _inverted(number: int, letter: str) -> tuple[str, Floats, Floats]:
    """The position of the mirrored group that an inverted orbit occupies, and its free numbers as
    matrix (free, free) and offset (free,) of those before.
    """
    position = space_group(number).position(letter)
    other, free = space_group(enantiomorph(number)), position.free
    matrix, offset = -position.frame[:, :free].astype(float), -position.origin
    for candidate in other.positions:
        if candidate.free != free or candidate.multiplicity != position.multiplicity:
            continue
        inverse = np.linalg.inv(candidate.frame)
        for rotation, translation in zip(other.rotations, other.translations, strict=True):
            moves = inverse @ rotation @ matrix
            start = inverse @ (rotation @ offset + translation - candidate.origin)
            fixed = start[free:] - np.rint(start[free:])
            if max(np.abs(moves[free:]).max(initial=0), np.abs(fixed).max(initial=0)) < 1e-6:
                return candidate.letter, moves[:free], start[:free]
    raise InputError(f"no position of {other.symbol} holds the inverted orbit {letter}")
