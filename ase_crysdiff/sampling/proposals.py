"""Where the atoms of a composition may lie: known arrangements by votes, new ones by a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ase_crysdiff.networks.scaffolds.decoding import ScaffoldDecoder
from ase_crysdiff.prototypes.library import Library
from ase_crysdiff.prototypes.retrieval import Candidate, Contents, Ranking, Vote, candidates
from ase_crysdiff.prototypes.symmetry import Symmetry
from ase_crysdiff.sampling.answers import Asked
from ase_crysdiff.sampling.scaffolds import ways
from ase_crysdiff.sampling.weighing import Weighing, probabilities
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import Floats

#: Share of the probability of a number of formula units that the sizes of known crystals decide,
#: whatever the votes.
_SIZES_SHARE = 0.1
#: Numbers of formula units that are less probable than this share of the most probable one get no
#: new arrangements.
_LEAST_UNITS = 0.05
#: Compositions whose proposals are remembered.
_REMEMBERED = 1024


@dataclass(frozen=True)
class Proposal:
    """One way in which the atoms of a composition may lie.

    Args:
        scaffold: Space group and sites: canonical, or with the group that was asked for.
        log_probability: Of all that are proposed.
        template: Where the library has the arrangement, its crystal with the elements exchanged.
    """

    scaffold: Scaffold
    log_probability: float
    template: Candidate | None = None

    @property
    def known(self) -> bool:
        """Whether it is a known structure of the composition itself."""
        return self.template is not None and self.template.known

    @property
    def new(self) -> bool:
        """Whether the library lacks the arrangement."""
        return self.template is None


@dataclass(frozen=True)
class Evidence:
    """What is known of a composition before it is weighed.

    Args:
        scaffolds: Those of templates, then those that the model alone thought of; canonical.
        templates: Crystals of the library with its elements.
        votes: Logarithm of the votes for each template.
        log_model: Logarithm of the model's probability of each scaffold.
    """

    scaffolds: list[Scaffold]
    templates: list[Candidate]
    votes: Floats
    log_model: Floats


@dataclass
class _Queue:
    """Scaffolds of a composition and the draws that each got so far."""

    scaffolds: list[Scaffold]
    logs: Floats
    times: Floats
    turns: list[int] = field(default_factory=list)


class Proposals:
    """Proposes scaffolds for compositions, the most probable first.

    Args:
        library: Known crystals, whose elements can be exchanged.
        vote: How they vote.
        decoder: The probability of scaffolds.
        weighing: How the two become one probability.
        sizes: How many known crystals have each number of atoms.
    """

    def __init__(
        self,
        library: Library,
        vote: Vote,
        decoder: ScaffoldDecoder,
        weighing: Weighing,
        sizes: dict[int, int],
    ) -> None:
        self.library, self.vote, self.decoder = library, vote, decoder
        self.weighing, self.sizes = weighing, sizes
        self._queue = lru_cache(maxsize=_REMEMBERED)(self._queued)

    def ranked(self, asked: Asked) -> list[Proposal]:
        """All proposals; known structures of the formula come first, the lowest in energy at the
        head.

        Args:
            asked: Contents of cells, and which scaffolds and structures may be proposed.
        """
        (found,) = self.ranked_each([asked])
        return found

    def ranked_each(self, several: Sequence[Asked]) -> list[list[Proposal]]:
        """The same as `ranked` for each of several questions; the model reads them together."""
        return [
            self._ranked(asked, evidence)
            for asked, evidence in zip(several, self.evidence(several), strict=True)
        ]

    def _ranked(self, asked: Asked, evidence: Evidence) -> list[Proposal]:
        logs = probabilities(self.weighing, evidence.votes, evidence.log_model)
        new = len(logs) - len(evidence.templates)
        found = [
            Proposal(_named(scaffold, asked.held), log, template)
            for scaffold, log, template in zip(
                evidence.scaffolds, logs.tolist(), evidence.templates + [None] * new, strict=True
            )
        ]
        # Sorting is stable: known structures stay in their order.
        return sorted(found, key=lambda one: -np.inf if one.known else -one.log_probability)

    def evidence(self, several: Sequence[Asked]) -> list[Evidence]:
        """What is known of compositions before it is weighed.

        Args:
            several: Contents of cells, and which scaffolds and structures may be proposed, of each.
        """
        votes = [self._votes(asked) for asked in several]
        units = [log_units for _, log_units in votes]
        thought_of = self._thought_of(several, units)
        return [self._evidence(*one) for one in zip(several, votes, thought_of, strict=True)]

    def _votes(self, asked: Asked) -> tuple[list[tuple[Scaffold, Candidate]], dict[int, float]]:
        """Templates with their scaffolds, and the logarithm of the probability of each number of
        atoms of the cell.
        """
        choice = None
        if asked.group is not None or asked.wished is not None:
            choice = Symmetry(self.library, asked.group, asked.wished)
        ranking = candidates(self.library, asked.cells, self.vote, known=asked.known, choice=choice)
        looked_at = [ranking[i] for i in range(min(len(ranking), self.weighing.considered))]
        pairs = [(self._scaffold(candidate), candidate) for candidate in looked_at]
        return pairs, self._log_units(asked.cells, ranking)

    def _evidence(
        self,
        asked: Asked,
        votes: tuple[list[tuple[Scaffold, Candidate]], dict[int, float]],
        thought_of: list[Scaffold],
    ) -> Evidence:
        pairs, log_units = votes
        if asked.wished is not None:
            pairs = [pair for pair in pairs if pair[0] in thought_of]
        old = [scaffold for scaffold, _ in pairs]
        scaffolds = old + [scaffold for scaffold in thought_of if scaffold not in set(old)]
        log_model = self.decoder.log_probabilities(scaffolds, **_wish(asked))
        log_model = log_model + [log_units[scaffold.num_atoms] for scaffold in scaffolds]
        templates = [candidate for _, candidate in pairs]
        scores = np.array([candidate.score for candidate in templates])
        return Evidence(scaffolds, templates, scores, log_model)

    def in_turn(self, asked: Asked, number: int) -> Scaffold:
        """The scaffold of one of many draws: each comes as often as its probability says, the most
        probable first, whatever the number of draws.

        Args:
            asked: Contents of cells, and which scaffolds and structures may be proposed.
            number: Of the draw.

        Source: The highest averages of Sainte-Laguë.
        """
        queue = self._queue(asked)
        while len(queue.turns) <= number:
            queue.turns.append(int(np.argmax(queue.logs - np.log(2 * queue.times + 1))))
            queue.times[queue.turns[-1]] += 1
        return queue.scaffolds[queue.turns[number]]

    def _queued(self, asked: Asked) -> "_Queue":
        ranked = self.ranked(asked)
        logs = np.array([one.log_probability for one in ranked])
        return _Queue([one.scaffold for one in ranked], logs, np.zeros(len(logs)))

    def _scaffold(self, candidate: Candidate) -> Scaffold:
        template = self.library.scaffold(candidate.row)
        return template.exchanged(candidate.elements).canonical()

    def _log_units(self, cells: Sequence[Contents], ranking: Ranking) -> dict[int, float]:
        """Logarithm of the probability of each number of atoms of the cell."""
        atoms = [sum(count for _, count in contents) for contents in cells]
        shares = np.array([self.sizes.get(n, 0) + 1e-3 for n in atoms])
        shares /= shares.sum()
        if len(ranking) and len(atoms) > 1:
            votes = dict.fromkeys(atoms, 0.0)
            weights = np.exp(self.weighing.votes * (ranking.scores - ranking.scores.max()))
            for n, weight in zip(self.library.num_atoms[ranking.rows], weights, strict=True):
                votes[int(n)] += float(weight)
            found = np.array([votes[n] for n in atoms]) / weights.sum()
            shares = _SIZES_SHARE * shares + (1 - _SIZES_SHARE) * found
        return dict(zip(atoms, np.log(shares).tolist(), strict=True))

    def _thought_of(
        self, several: Sequence[Asked], units: Sequence[dict[int, float]]
    ) -> list[list[Scaffold]]:
        """The likeliest scaffolds by the model, or all that a prototype allows, for each question;
        those with the same wishes are asked together.
        """
        found: dict[int, list[Scaffold]] = {}
        together: dict[tuple[Any, ...], list[int]] = {}
        for place, asked in enumerate(several):
            if asked.wished is None:
                together.setdefault(tuple(_wish(asked).values()), []).append(place)
            else:
                able = ways(asked.wished, dict(asked.cells[0]))
                found[place] = list(dict.fromkeys(scaffold.canonical() for scaffold in able))
        for places in together.values():
            probable = [_probable(several[i].cells, units[i]) for i in places]
            likeliest = self.decoder.likeliest_each(
                [[dict(contents) for contents, _ in one] for one in probable],
                self.weighing.kept,
                log_weights=[[log for _, log in one] for one in probable],
                beam=self.weighing.beam,
                **_wish(several[places[0]]),
            )
            for place, own in zip(places, likeliest, strict=True):
                found[place] = [one.scaffold.canonical() for one in own]
        return [found[place] for place in range(len(several))]


def _wish(asked: Asked) -> dict[str, Any]:
    """What the decoder is told."""
    return {
        "groups": None if asked.group is None else frozenset({asked.group}),
        "hull": asked.hull,
        "guidance_weight": asked.guidance_weight,
    }


def _probable(
    cells: Sequence[Contents], log_units: dict[int, float]
) -> list[tuple[Contents, float]]:
    """Contents that are probable enough to be thought about, with the logarithm of that."""
    floor = max(log_units.values()) + np.log(_LEAST_UNITS)
    logs = [log_units[sum(n for _, n in contents)] for contents in cells]
    return [(contents, log) for contents, log in zip(cells, logs, strict=True) if log > floor]


def _named(scaffold: Scaffold, group: int | None) -> Scaffold:
    """With the space group that was asked for, of which a canonical one may be the mirror."""
    same = group is None or group == scaffold.group
    return scaffold if same else Scaffold(group or 1, scaffold.sites)
