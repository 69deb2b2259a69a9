"""In which order samplers are asked for what: round after round, without an end."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from ase_crysdiff.prototypes.formulas import VotedFormula
from ase_crysdiff.prototypes.library import Formula

#: Crystals of a round.
ROUND = 64
#: Candidates of one formula that are asked for at a time, of many formulas and of a single one, and
#: new crystals likewise.
_OF_EACH, _OF_ONE, _NEW = 4, 16, 16
#: By so much worse than its first candidates are the next ones of a formula, in logarithms of
#: votes: within one formula the votes fall like this from one four to the next.
_DEPTH = 2.0
#: No formula is asked for more candidates.
_MOST = 96


@dataclass(frozen=True)
class Ask:
    """Some crystals that one sampler is asked for.

    Args:
        sampler: Its place among the samplers.
        formula: Of the crystals; None for new ones of the sampler's choice.
        first: Index of the first.
        count: How many.
    """

    sampler: int
    formula: Formula | None
    first: int
    count: int

    @property
    def indices(self) -> range:
        """Of the crystals in the run of the sampler."""
        return range(self.first, self.first + self.count)


def rounds(
    predictors: Sequence[int], creators: Sequence[int], formulas: Sequence[VotedFormula]
) -> Iterator[list[Ask]]:
    """The asks of every round: one half the likely structures of likely formulas, one half new
    crystals; all of one kind where there is no other. They end where nobody has anything to give.

    Args:
        predictors: Places of the samplers that predict structures of formulas.
        creators: Places of those that draw crystals without a formula.
        formulas: The formulas, the likeliest first.
    """
    several = len(formulas) > 1
    predictions = _predictions(predictors, formulas, _OF_EACH if several else _OF_ONE)
    creations = _creations(creators)
    half = ROUND // 2
    while True:
        asks = list(islice(predictions, half // (_OF_EACH if several else _OF_ONE)))
        rest = ROUND - sum(ask.count for ask in asks)
        asks += islice(creations, rest // _NEW)
        if not creators:
            while (left := ROUND - sum(ask.count for ask in asks)) > 0:
                more = next(predictions, None)
                if more is None or more.count > left:
                    break
                asks.append(more)
        if not asks:
            return
        yield asks


def _predictions(
    predictors: Sequence[int], formulas: Sequence[VotedFormula], size: int
) -> Iterator[Ask]:
    """Asks for structures of formulas. Of several formulas each is one sampler's; of a single one
    all samplers' in turn.
    """
    if not predictors:
        return
    share = len(predictors) if len(formulas) == 1 else 1
    waiting = [(-found.votes, place, 0) for place, found in enumerate(formulas)]
    heapq.heapify(waiting)
    while waiting:
        key, place, block = heapq.heappop(waiting)
        turn, own = (block % share, block // share) if share > 1 else (place, block)
        contents = formulas[place].contents
        yield Ask(predictors[turn % len(predictors)], contents, own * size, size)
        if (own + 1) * size < _MOST:
            heapq.heappush(waiting, (key + _DEPTH, place, block + 1))


def _creations(creators: Sequence[int]) -> Iterator[Ask]:
    """Asks for new crystals, of the samplers in turn."""
    firsts = dict.fromkeys(creators, 0)
    for place in cycle(creators):
        yield Ask(place, None, firsts[place], _NEW)
        firsts[place] += _NEW
