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
        evidence = self.evidence(asked)
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

    def evidence(self, asked: Asked) -> Evidence:
        """What is known of a composition before it is weighed.

        Args:
            asked: Contents of cells, and which scaffolds and structures may be proposed.
        """
        choice = None
        if asked.group is not None or asked.wished is not None:
            choice = Symmetry(self.library, asked.group, asked.wished)
        groups = None if asked.group is None else frozenset({asked.group})
        wish: dict[str, Any] = {
            "groups": groups,
            "hull": asked.hull,
            "guidance_weight": asked.guidance_weight,
        }
        ranking = candidates(self.library, asked.cells, self.vote, known=asked.known, choice=choice)
        looked_at = [ranking[i] for i in range(min(len(ranking), self.weighing.considered))]
        pairs = [(self._scaffold(candidate), candidate) for candidate in looked_at]
        log_units = self._log_units(asked.cells, ranking)
        if asked.wished is None:
            thought_of = self._thought_of(asked.cells, log_units, wish)
        else:
            able = ways(asked.wished, dict(asked.cells[0]))
            thought_of = list(dict.fromkeys(scaffold.canonical() for scaffold in able))
            pairs = [pair for pair in pairs if pair[0] in thought_of]
        old = [scaffold for scaffold, _ in pairs]
        scaffolds = old + [scaffold for scaffold in thought_of if scaffold not in set(old)]
        log_model = self.decoder.log_probabilities(scaffolds, **wish)
        log_model = log_model + [log_units[scaffold.num_atoms] for scaffold in scaffolds]
        templates = [candidate for _, candidate in pairs]
        votes = np.array([candidate.score for candidate in templates])
        return Evidence(scaffolds, templates, votes, log_model)

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
        self,
        cells: Sequence[Contents],
        log_units: dict[int, float],
        wish: dict[str, Any],
    ) -> list[Scaffold]:
        """The likeliest scaffolds by the model."""
        atoms = [sum(n for _, n in contents) for contents in cells]
        floor = max(log_units.values()) + np.log(_LEAST_UNITS)
        probable = [i for i, n in enumerate(atoms) if log_units[n] > floor]
        likeliest = self.decoder.likeliest(
            [dict(cells[i]) for i in probable],
            self.weighing.kept,
            log_weights=[log_units[atoms[i]] for i in probable],
            beam=self.weighing.beam,
            **wish,
        )
        return [one.scaffold.canonical() for one in likeliest]


def _named(scaffold: Scaffold, group: int | None) -> Scaffold:
    """With the space group that was asked for, of which a canonical one may be the mirror."""
    same = group is None or group == scaffold.group
    return scaffold if same else Scaffold(group or 1, scaffold.sites)
