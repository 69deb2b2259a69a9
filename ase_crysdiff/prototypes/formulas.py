"""Which formulas some elements may form: those that known crystals vote for.

The votes that rank the arrangements of one composition compare compositions as well: a crystal
votes for each way to give its sites other elements, the more the nearer these are to its own. What
many known crystals resemble is likely to exist, as in the substitution models of Hautier et al.,
Inorg. Chem. 50, 656 (2011).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np

from ase_crysdiff.prototypes.library import Formula, Library, Pattern, reduced_formula
from ase_crysdiff.prototypes.retrieval import Vote, costs
from ase_crysdiff.symmetry.tables import Floats, Ints

#: Of more elements there are too many ways to give them to slots, and hardly a crystal.
MOST_ELEMENTS = 7


@dataclass(frozen=True)
class VotedFormula:
    """A formula and what speaks for it.

    Args:
        contents: Atomic numbers and counts, reduced, ascending by atomic number.
        votes: Logarithm of the votes of all crystals of the same counts; the most of its cells.
        num_atoms: Atoms of the primitive cell with the most votes.
    """

    contents: Formula
    votes: float
    num_atoms: int


def voted_formulas(
    library: Library, elements: Iterable[int], vote: Vote, max_atoms: int
) -> list[VotedFormula]:
    """The formulas that hold each of some elements, those with the most votes first.

    Crystals of the same formula do not vote for it, so that what is known stands where it would
    stand if nobody knew it.

    Args:
        library: The crystals.
        elements: Atomic numbers, at most `MOST_ELEMENTS`.
        vote: How crystals vote.
        max_atoms: Largest primitive cell.
    """
    ordered = np.array(sorted(set(elements)))
    best: dict[Formula, VotedFormula] = {}
    for counts in library.counts:
        if len(counts) != len(ordered) or sum(counts) > max_atoms:
            continue
        pattern = library.pattern(counts)
        assert pattern is not None
        for formula, votes in _of_pattern(library, pattern, ordered, vote):
            known = best.get(formula)
            if known is None or votes > known.votes:
                best[formula] = VotedFormula(formula, votes, sum(counts))
    return sorted(best.values(), key=lambda found: (-found.votes, found.contents))


def _of_pattern(
    library: Library, pattern: Pattern, elements: Ints, vote: Vote
) -> Iterator[tuple[Formula, float]]:
    """Every formula with these counts, and the logarithm of its votes."""
    species = elements[_orders(len(elements))]
    votes = -costs(library, pattern, species, np.arange(len(pattern.index)), vote)
    votes[(species[:, None] == pattern.species[None]).all(2)] = -math.inf
    # Elements in slots of equal counts may change places without another formula.
    slots = np.array(pattern.counts)
    keys = np.sort(slots * (library.distance.shape[0]) + species, axis=1)
    for key in np.unique(keys, axis=0):
        ways = (keys == key).all(1)
        total = _log_sum(votes[ways].ravel())
        if math.isfinite(total):
            contents = zip(species[ways][0].tolist(), pattern.counts, strict=True)
            yield reduced_formula(contents), total


def _log_sum(votes: Floats) -> float:
    """Logarithm of the sum of votes whose logarithms are given."""
    most = float(votes.max())
    return most if math.isinf(most) else most + math.log(float(np.exp(votes - most).sum()))


@cache
def _orders(count: int) -> Ints:
    """All orders of so many things."""
    return np.array(list(permutations(range(count))))
