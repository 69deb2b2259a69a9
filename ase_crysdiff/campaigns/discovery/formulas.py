"""Which formulas a wish asks structures of."""

from collections.abc import Iterator
from itertools import combinations

from ase_crysdiff.campaigns.discovery.wish import Wish
from ase_crysdiff.crystal.charge_balance import has_balance, is_ionic
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.prototypes.formulas import MOST_ELEMENTS, VotedFormula, voted_formulas
from ase_crysdiff.prototypes.library import Formula, Library
from ase_crysdiff.prototypes.retrieval import Vote

#: Atoms of the largest primitive cell that votes for a formula.
_LARGEST = 24
#: Of elements from which crystals may choose, so many at most come together: there are more than
#: a hundred ways to choose four of eight.
_TOGETHER = 4
#: Atoms of the largest formula of a known stable compound that is asked for.
_LARGEST_KNOWN = 40
#: Formulas at most.
_MOST = 500


def formulas_for(
    wish: Wish, library: Library, vote: Vote, hull: Hull
) -> tuple[list[VotedFormula], str]:
    """The formulas whose structures are predicted, the likeliest first, and how they were found, in
    words. None where nothing is wished of the elements, or only samplers that draw freely can obey
    the symmetry that is wished.

    A formula with an anion is left out if its charge balances by no oxidation states. Compounds
    that are known to be stable come first, so that they are found again.

    Args:
        wish: What is looked for.
        library: Known crystals, which vote.
        vote: How.
        hull: Of known compounds.
    """
    if wish.composition is not None:
        return [
            VotedFormula(wish.composition, 0.0, sum(n for _, n in wish.composition))
        ], "as it is written"
    if wish.species is None or wish.space_group is not None or wish.prototype:
        return [], "left to the samplers"
    voted: list[VotedFormula] = []
    stable: list[Formula] = []
    for system in _systems(wish):
        if len(system) <= MOST_ELEMENTS:
            voted += voted_formulas(library, system, vote, _LARGEST)
        stable += [c for c in _stable(hull, system) if sum(n for _, n in c) <= _LARGEST_KNOWN]
    balanced = [found for found in voted if _is_plausible(found.contents)]
    balanced.sort(key=lambda found: (-found.votes, found.contents))
    most = balanced[0].votes if balanced else 0.0
    first = [VotedFormula(contents, most + 1.0, sum(n for _, n in contents)) for contents in stable]
    rest = [found for found in balanced if found.contents not in set(stable)]
    told = (
        f"{len(voted):,} have known crystals to imitate, {len(balanced):,} of them can be "
        f"charge-balanced or are alloys; {len(stable)} stable compounds are known"
    )
    return [*first, *rest][:_MOST], told


def _systems(wish: Wish) -> Iterator[frozenset[int]]:
    """The sets of elements that crystals may have: that of the wish, or all of a few of them."""
    if wish.chemical_system is not None:
        yield wish.chemical_system
        return
    assert wish.elements is not None
    species = sorted(wish.elements)
    for size in range(min(2, len(species)), min(_TOGETHER, len(species)) + 1):
        yield from map(frozenset, combinations(species, size))


def _is_plausible(contents: Formula) -> bool:
    counts = dict(contents)
    return not is_ionic(counts) or has_balance(counts)


def _stable(hull: Hull, system: frozenset[int]) -> list[Formula]:
    """The known compounds of exactly these elements that make the hull; none where the table lacks
    an element.
    """
    try:
        compounds = hull.stable(frozenset(SYMBOLS[z] for z in system))
    except InputError:
        return []
    return [
        tuple(sorted((element.Z, round(count)) for element, count in compound.items()))
        for compound in compounds
    ]
