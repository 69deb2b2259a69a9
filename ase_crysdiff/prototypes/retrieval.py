"""Which known crystals suit a composition, and in which order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.crystal.volume import coefficients, volume_per_atom
from ase_crysdiff.prototypes.arrangements import assignments
from ase_crysdiff.prototypes.library import Library, Pattern
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.tables import Floats, Ints

Bools = NDArray[np.bool_]
#: Atomic number and count of each element of a primitive cell.
Contents = Sequence[tuple[int, int]]
#: Chooses among the crystals of a pattern: True for each that may serve, shape (crystals,).
Choice = Callable[[Pattern], NDArray[np.bool_]]


@dataclass(frozen=True)
class Vote:
    """How crystals of known structure vote for the arrangement of a composition.

    Args:
        temperature: Cost by which a vote weighs e times less.
        share: Power of an element's share of the atoms with which its distance counts.
        energy: Cost of 1 eV/atom above the hull, in units of the temperature.
        unknown_energy: Energy above the hull, eV/atom, that is taken where none is known.
    """

    temperature: float = 0.08
    share: float = 0.5
    energy: float = 3.5
    unknown_energy: float = 0.05


@dataclass(frozen=True)
class Candidate:
    """A crystal of the library with other elements on its sites.

    Args:
        row: Of the crystal in the library.
        elements: What takes the place of each of its elements, by atomic number.
        score: Logarithm of the votes for its arrangement.
        known: Whether its elements are those of the composition, in their places.
    """

    row: int
    elements: dict[int, int]
    score: float
    known: bool

    def crystal(self, library: Library) -> SymmetricCrystal:
        """The crystal with the elements exchanged, in a cell scaled to their sizes."""
        template = library.crystal(self.row)
        crystal = template.exchanged(self.elements)
        return crystal.scaled(volume_ratio(template, crystal))

    def template(self, library: Library) -> str:
        """Where it comes from, such as "mp-1234: Ca for Sr"."""
        name = library.names[self.row]
        if self.known:
            return f"{name} (this compound)"
        pairs = [(new, old) for old, new in self.elements.items() if new != old]
        return f"{name}: {', '.join(f'{SYMBOLS[new]} for {SYMBOLS[old]}' for new, old in pairs)}"


def volume_ratio(template: SymmetricCrystal, crystal: SymmetricCrystal) -> float:
    """By how much the volume changes when elements are exchanged; 1 where one is not known.

    The volumes that a regression expects of both compositions stand in the same ratio.
    """
    expected = []
    for counts in (template.scaffold.counts, crystal.scaffold.counts):
        amounts = {SYMBOLS[z]: count for z, count in counts.items()}
        if not set(amounts) <= set(coefficients()):
            return 1.0
        expected.append(volume_per_atom(amounts))
    return expected[1] / expected[0]


@dataclass(frozen=True)
class Ranking(Sequence[Candidate]):
    """Candidates for a composition, the best first; each is made when it is asked for.

    Args:
        library: The crystals.
        elements: Atomic numbers of the composition by ascending count, shape (slots,).
        rows: Crystal of each candidate, shape (candidates,).
        ways: How its slots are given to the elements: the element of each slot, by its place in
            `elements`, shape (candidates, slots).
        scores: Logarithm of the votes, shape (candidates,).
    """

    library: Library
    elements: Ints
    rows: Ints
    ways: Ints
    scores: Floats

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, rank: int) -> Candidate: ...
    @overload
    def __getitem__(self, rank: slice) -> list[Candidate]: ...
    def __getitem__(self, rank: int | slice) -> Candidate | list[Candidate]:
        if isinstance(rank, slice):
            return [self[i] for i in range(*rank.indices(len(self)))]
        row = int(self.rows[rank])
        old, new = self.library.species_of(row), self.elements[self.ways[rank]]
        exchange = dict(zip(old.tolist(), new.tolist(), strict=True))
        return Candidate(row, exchange, float(self.scores[rank]), bool((old == new).all()))


def candidates(
    library: Library,
    cells: Iterable[Contents],
    vote: Vote,
    *,
    known: bool = True,
    choice: Choice | None = None,
) -> Ranking:
    """All arrangements for some contents of primitive cells, the most voted first.

    Every crystal with the same counts votes, for every way in which the elements can take the
    places of its own, with exp(-cost): the distances of the elements that are exchanged, weighed
    with a power of their shares of the atoms, over the temperature, and its energy above the hull.
    The votes for one arrangement are added; its nearest crystal is the template. Votes of cells
    with different numbers of formula units are compared as they are.

    Known structures of the same formula come first, the lowest in energy at the head.

    Args:
        library: The crystals.
        cells: Contents of one cell, or of several that differ by the number of formula units.
        vote: How crystals vote.
        known: Whether known structures of the formula may vote and be answers.
        choice: Which crystals may; None takes all.
    """
    elements = np.zeros(0, np.int64)
    parts = []
    for contents in cells:
        ordered = sorted(contents, key=lambda pair: (pair[1], pair[0]))
        elements = np.array([z for z, _ in ordered])
        pattern = library.pattern(tuple(count for _, count in ordered))
        if pattern is None:
            continue
        live = np.ones(len(pattern.index), bool) if choice is None else choice(pattern)
        if not known:
            live &= ~same_formula(pattern, elements)
        if live.any():
            parts.append(_of_pattern(library, pattern, elements, live, vote))
    if not parts:
        none = np.zeros(0, np.int64)
        return Ranking(library, elements, none, none.reshape(0, len(elements)), none.astype(float))
    rows, ways, scores, given = (np.concatenate(x) for x in zip(*parts, strict=True))
    energy = np.where(given, np.nan_to_num(library.energy[rows], nan=np.inf), -scores)
    order = np.lexsort((rows, energy, ~given))
    return Ranking(library, elements, rows[order], ways[order], scores[order])


def same_formula(pattern: Pattern, elements: Ints) -> Bools:
    """Which crystals of a pattern have these elements with the same counts.

    Args:
        pattern: Of the counts.
        elements: Atomic numbers, of which equal counts may stand in any order, shape (slots,).
    """
    keys = np.array(pattern.counts) * len(SYMBOLS)
    found = np.sort(pattern.species + keys, axis=1) == np.sort(elements + keys)
    return np.asarray(found.all(1))


def _of_pattern(
    library: Library, pattern: Pattern, elements: Ints, live: Bools, vote: Vote
) -> tuple[Ints, Ints, Floats, Bools]:
    """One candidate for each arrangement with each assignment of the elements that differs: row,
    assignment, score, and whether it is a known structure of the formula.
    """
    ways = assignments(pattern.counts)
    chosen = np.nonzero(live)[0]
    votes = -costs(library, pattern, elements[ways], chosen, vote).ravel()
    index = pattern.index[chosen]
    keys = (index * len(ways) + pattern.equivalent[index].T).ravel()
    same = (pattern.species[chosen] == elements[ways][:, None]).all(2).ravel()
    # Sorted by key and vote, the last one of each key is its template: a known structure if any.
    order = np.lexsort((votes, same, keys))
    last = np.nonzero(np.append(np.diff(keys[order]) > 0, True))[0]
    first = np.append(0, last[:-1] + 1)
    best = order[last]
    top = np.repeat(votes[best], last - first + 1)
    scores = votes[best] + np.log(np.add.reduceat(np.exp(votes[order] - top), first))
    way, column = np.divmod(best, len(chosen))
    crystals = chosen[column]
    return pattern.first + crystals, ways[way], scores, same[best]


def costs(library: Library, pattern: Pattern, species: Ints, chosen: Ints, vote: Vote) -> Floats:
    """Cost of giving the sites of every chosen crystal other elements, in units of the temperature,
    shape (ways, chosen).

    Args:
        library: The crystals.
        pattern: Of the counts.
        species: Atomic number for each slot, in several ways, shape (ways, slots).
        chosen: Which crystals of the pattern, shape (chosen,).
        vote: How crystals vote.
    """
    own = pattern.species[chosen]
    shares = (np.array(pattern.counts) / sum(pattern.counts)) ** vote.share / vote.temperature
    known = library.energy[pattern.rows][chosen]
    energy = np.nan_to_num(known, nan=vote.unknown_energy) * vote.energy
    found = np.repeat(energy[None], len(species), axis=0)
    for slot, share in enumerate(shares.tolist()):
        found += share * library.distance[species[:, slot]][:, own[:, slot]]
    return found
