"""Searches among scaffolds on the way: for the likeliest, and at random without replacement."""

from collections.abc import Callable, Iterator

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


def beam_search(frontier: Frontier, number: int, beam: int) -> dict[Scaffold, float]:
    """The likeliest scaffolds, canonical, with the logarithm of the probability of all descriptions
    that were met.

    Args:
        frontier: Where to begin.
        number: At most so many.
        beam: Unfinished scaffolds that are followed.
    """
    found: dict[Scaffold, float] = {}
    floor = -np.inf
    while frontier.partials:
        parents: list[int] = []
        grown: list[Partial] = []
        for row, choice, total in _descending(_totals(frontier), floor):
            partial = frontier.partials[row]
            if partial.finishes(choice):
                scaffold = partial.follow(choice, total).scaffold().canonical()
                found[scaffold] = float(np.logaddexp(found.get(scaffold, -np.inf), total))
            elif len(grown) < beam:
                parents.append(row)
                grown.append(partial.follow(choice, total))
        # Probabilities only fall: what is below the last of a full list never gets into it.
        if len(found) >= number:
            floor = sorted(found.values())[-number]
        kept = [i for i, partial in enumerate(grown) if partial.log_probability > floor]
        frontier.advance([parents[i] for i in kept], [grown[i] for i in kept])
    best = sorted(found, key=lambda scaffold: -found[scaffold])[:number]
    return {scaffold: found[scaffold] for scaffold in best}


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
