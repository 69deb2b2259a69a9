"""Searches among scaffolds on the way: for the likeliest, and at random without replacement."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.scaffolds.frontier import Frontier
from ase_crysdiff.networks.scaffolds.partial import Partial
from ase_crysdiff.networks.scaffolds.stochastic_beam import perturbed
from ase_crysdiff.randomness import Streams
from ase_crysdiff.shapes import Float
from ase_crysdiff.symmetry.scaffold import Scaffold

#: Random numbers in [0, 1), called with a decision, rows and choices, the shape. Fewer rows must be
#: the first of more. Decision 0 is that for a composition, 1 for a group, then come the letters.
Uniform = Callable[[int, int, int], Float[np.ndarray, "rows choices"]]


def uniform_of(stream: Streams) -> Uniform:
    """The random numbers of one crystal for its draws.

    Args:
        stream: Of a single crystal.
    """

    def uniform(decision: int, rows: int, choices: int) -> Float[np.ndarray, "rows choices"]:
        rng = stream.rng("distinct scaffolds", decision, [rows], torch.device("cpu"), torch.float32)
        found: np.ndarray = rng.uniform(choices).numpy()
        return found

    return uniform


@dataclass
class _Likeliest:
    """A search for the likeliest scaffolds.

    Args:
        number: How many are looked for.
        beam: Unfinished scaffolds that are followed.
    """

    number: int
    beam: int
    _found: dict[Scaffold, float] = field(default_factory=dict)
    _floor: float = -np.inf

    def followed(
        self, partials: Sequence[Partial], totals: Float[np.ndarray, "partials choices"]
    ) -> list[tuple[int, Partial]]:
        """The scaffolds that go on, one decision further, each with the place of what it was.

        Args:
            partials: Those that went on before.
            totals: Logarithms of the probabilities of everything up to the next decisions.
        """
        grown: list[tuple[int, Partial]] = []
        for row, choice, total in _descending(totals, self._floor):
            partial = partials[row]
            if partial.finishes(choice):
                scaffold = partial.follow(choice, total).scaffold().canonical()
                before = self._found.get(scaffold, -np.inf)
                self._found[scaffold] = float(np.logaddexp(before, total))
            elif len(grown) < self.beam:
                grown.append((row, partial.follow(choice, total)))
        # Probabilities only fall: what is below the last of a full list never gets into it.
        if len(self._found) >= self.number:
            self._floor = sorted(self._found.values())[-self.number]
        return [(row, partial) for row, partial in grown if partial.log_probability > self._floor]

    def best(self) -> dict[Scaffold, float]:
        """The likeliest, the best first."""
        best = sorted(self._found, key=lambda scaffold: -self._found[scaffold])[: self.number]
        return {scaffold: self._found[scaffold] for scaffold in best}


def beam_searches(
    frontier: Frontier, owners: Sequence[int], number: int, beam: int
) -> list[dict[Scaffold, float]]:
    """The likeliest scaffolds of several searches side by side, canonical, with the logarithm of
    the probability of all descriptions that were met. None changes what another finds.

    Args:
        frontier: Where to begin; the roots of a search lie side by side.
        owners: Number of the search that each root belongs to, from 0.
        number: At most so many of each.
        beam: Unfinished scaffolds that each follows.
    """
    searches = [_Likeliest(number, beam) for _ in range(max(owners) + 1)]
    while frontier.partials:
        totals = _totals(frontier)
        parents: list[int] = []
        grown: list[Partial] = []
        kept: list[int] = []
        for owner, places in groupby(range(len(owners)), owners.__getitem__):
            first, *others = places
            rows = slice(first, first + 1 + len(others))
            for row, partial in searches[owner].followed(frontier.partials[rows], totals[rows]):
                parents.append(first + row)
                grown.append(partial)
                kept.append(owner)
        frontier.advance(parents, grown)
        owners = kept
    return [search.best() for search in searches]


def stochastic_beam_search(
    frontier: Frontier, scores: Float[np.ndarray, " roots"], beam: int, uniform: Uniform
) -> list[Partial]:
    """Descriptions of scaffolds, drawn without replacement, in the order in which they are drawn.

    Args:
        frontier: Where to begin, the highest scores first.
        scores: Perturbed scores of these roots.
        beam: How many; fewer if there are no more.
        uniform: Random numbers.
    """
    found: list[tuple[float, Partial]] = []
    decision = 1
    while frontier.partials:
        totals = _totals(frontier)
        below = perturbed(totals, scores, uniform(decision, *totals.shape))
        # The highest scores of all, finished or not, go on.
        floor = sorted([score for score, _ in found] + below.ravel().tolist())[-beam:][0]
        parents: list[int] = []
        grown: list[Partial] = []
        kept: list[float] = []
        found = [(score, partial) for score, partial in found if score >= floor]
        for row, choice, score in _descending(below, np.nextafter(floor, -np.inf)):
            partial = frontier.partials[row].follow(choice, float(totals[row, choice]))
            if partial.finished:
                found.append((score, partial))
            else:
                parents.append(row)
                grown.append(partial)
                kept.append(score)
        frontier.advance(parents, grown)
        scores, decision = np.array(kept), decision + 1
    return [partial for _, partial in sorted(found, key=lambda pair: -pair[0])]


def _totals(frontier: Frontier) -> Float[np.ndarray, "partials choices"]:
    """Logarithms of the probabilities of everything up to the next decisions."""
    before = np.array([partial.log_probability for partial in frontier.partials])
    totals: np.ndarray = before[:, None] + frontier.options()
    return totals


def _descending(
    values: Float[np.ndarray, "rows choices"], floor: float
) -> Iterator[tuple[int, int, float]]:
    """Row, column and value of everything finite above a floor, the highest first."""
    flat = values.ravel()
    order = np.argsort(-flat, kind="stable")
    for place in order[: int((flat > floor).sum())].tolist():
        yield (*divmod(place, values.shape[1]), float(flat[place]))


def check_number(number: int) -> None:
    """Refuse to search for nothing.

    Raises:
        InputError: If the number is not above 0.
    """
    if number < 1:
        raise InputError(f"A number of scaffolds is a whole number above 0, got {number}.")
