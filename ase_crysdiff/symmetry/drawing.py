"""Scaffolds drawn at random: the sites of a space group for given numbers of atoms.

No model is asked. A scaffold is drawn exactly with a probability proportional to the product of a
weight for each of its sites, so that few sites are likelier than many. Equivalent letters count
apart; as positions without free coordinates have most of those, a single one of them weighs less.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from ase_crysdiff.crystal.elements import by_electronegativity
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.feasible import Needs, choices
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, space_group

#: The next random number, uniform in [0, 1).
Draw = Callable[[], float]

#: Stands for any number of sites.
ANY = -1
#: Weight of a site, and of each of its free coordinates, in natural logarithms: the likeliest for
#: validation crystals, whose scaffolds have 3.4 nats given group and composition.
SITE_WEIGHT, FREE_WEIGHT = -0.7, 0.6


def draw_scaffold(group: int, counts: Mapping[int, int], draw: Draw) -> Scaffold:
    """A scaffold of a group that holds these atoms.

    Args:
        group: Number of the space group.
        counts: Atoms of each element in the primitive cell, by atomic number.
        draw: Random numbers; one is used for each site.

    Raises:
        InputError: If the group cannot hold them.
    """
    elements = sorted(counts, key=by_electronegativity)
    parts = draw_letters(group, [counts[z] for z in elements], draw)
    pairs = zip(elements, parts, strict=True)
    return Scaffold(group, tuple((z, letter) for z, part in pairs for letter in part))


def draw_letters(
    group: int, counts: Sequence[int], draw: Draw, sites: int | None = None
) -> list[str]:
    """The letters of each of some elements, drawn at random.

    Args:
        group: Number of the space group.
        counts: Atoms of each element in the primitive cell.
        draw: Random numbers; one is used for each site.
        sites: How many sites there must be; None leaves it open.

    Raises:
        InputError: If the group cannot hold these numbers on so many sites.
    """
    needs, used, lowest, missing = tuple(counts), 0, 0, ANY if sites is None else sites
    if not holds(group, needs, sites):
        number = "its" if sites is None else f"{sites}"
        raise InputError(
            f"{space_group(group).symbol} cannot hold {' + '.join(map(str, counts))} atoms per "
            f"primitive cell on {number} sites."
        )
    parts: list[str] = [""] * len(counts)
    while any(needs):
        if needs[0] == 0:
            needs, lowest = needs[1:], 0
            continue
        options = _weighted(group, needs, used, lowest, missing)
        index, needs, used, lowest = _picked(options, draw())
        missing = max(ANY, missing - 1)
        parts[len(counts) - len(needs)] += LETTERS[index]
    return parts


def holds(group: int, counts: Sequence[int], sites: int | None = None) -> bool:
    """Whether a group holds these numbers of atoms on so many sites; None leaves them open."""
    return _total(group, tuple(counts), 0, 0, ANY if sites is None else sites) > 0


#: A position that may come next, and needs, used and lowest after it.
_Option = tuple[int, Needs, int, int]


@cache
def _total(group: int, needs: Needs, used: int, lowest: int, missing: int) -> float:
    """Weight of all ways to complete a scaffold; arguments as of `can_follow`, and the number of
    sites that must still come.
    """
    if not any(needs):
        return float(missing in (0, ANY))
    if needs[0] == 0:
        return _total(group, needs[1:], used, 0, missing)
    return sum((weight for weight, _ in _weighted(group, needs, used, lowest, missing)), 0.0)


def _weighted(
    group: int, needs: Needs, used: int, lowest: int, missing: int
) -> list[tuple[float, _Option]]:
    """Positions that may come next, each with the weight of all scaffolds that go on with it."""
    found: list[tuple[float, _Option]] = []
    if missing == 0:
        return found
    for index, multiplicity, taken, after in choices(group, needs[0], used, lowest):
        rest = (needs[0] - multiplicity, *needs[1:])
        own = math.exp(SITE_WEIGHT + FREE_WEIGHT * space_group(group).positions[index].free)
        weight = own * _total(group, rest, taken, after, max(ANY, missing - 1))
        if weight > 0:
            found.append((weight, (index, rest, taken, after)))
    return found


def _picked(options: Sequence[tuple[float, _Option]], number: float) -> _Option:
    left = number * sum(weight for weight, _ in options)
    for weight, option in options:
        left -= weight
        if left < 0:
            return option
    return options[-1][1]
