"""Sites that may stay empty, beside those of a scaffold: what rows of vacancies are to a plain
crystal, orbits of vacancies are to a symmetric one.
"""

from collections.abc import Sequence
from functools import cache

from ase_crysdiff.symmetry.drawing import Draw
from ase_crysdiff.symmetry.tables import space_group


def spare_sites(
    group: int, letters: Sequence[int], odds: Sequence[float], room: int, draw: Draw
) -> list[int]:
    """Draws further sites for a kind of scaffold, small orbits more often than large ones.

    One without a free coordinate holds a single orbit, so it is taken once at most. Where a group
    has no site left that fits, fewer are added than were drawn.

    Args:
        group: Number of the space group.
        letters: Places of the letters of the sites in the alphabet.
        odds: Of 0, 1, 2, … further sites.
        room: Atoms that a primitive cell may have with them.
        draw: Random numbers.

    Returns:
        Places of the letters of the further sites, in the order in which they were drawn.
    """
    sizes, fixed = _positions(group)
    taken = {letter for letter in letters if fixed[letter]}
    left = room - sum(sizes[letter] for letter in letters)
    added: list[int] = []
    for _ in range(_pick(odds, draw())):
        able = [i for i, size in enumerate(sizes) if size <= left and i not in taken]
        if not able:
            break
        chosen = able[_pick([1 / sizes[i] for i in able], draw())]
        added.append(chosen)
        left -= sizes[chosen]
        if fixed[chosen]:
            taken.add(chosen)
    return added


@cache
def _positions(group: int) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Points in a primitive cell of each position of a group, and which have no free coordinate."""
    positions = space_group(group).positions
    return tuple(p.multiplicity for p in positions), tuple(p.free == 0 for p in positions)


def _pick(odds: Sequence[float], number: float) -> int:
    """The place that a uniform number falls on."""
    left = number * sum(odds)
    for place, share in enumerate(odds):
        left -= share
        if left < 0:
            return place
    return max(place for place, share in enumerate(odds) if share > 0)
