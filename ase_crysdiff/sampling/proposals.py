"""Where the atoms of a composition may lie: known arrangements by votes, new ones by a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy.special import logsumexp

from ase_crysdiff.networks.scaffolds.decoding import ScaffoldDecoder
from ase_crysdiff.prototypes.library import Library
from ase_crysdiff.prototypes.retrieval import Candidate, Contents, Ranking, Vote, candidates
from ase_crysdiff.prototypes.symmetry import Symmetry
from ase_crysdiff.sampling.answers import Asked
from ase_crysdiff.sampling.scaffolds import ways
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import Floats

#: Share of the probability of a number of formula units that the sizes of known crystals decide,
#: whatever the votes.
_SIZES_SHARE = 0.1
#: Numbers of formula units that are less probable get no new arrangements.
_LEAST_UNITS = 0.03
#: Compositions whose proposals are remembered.
_REMEMBERED = 1024


@dataclass(frozen=True)
class Weighing:
    """How votes v and a model's logarithms of probabilities q make one probability.

    An arrangement of the library has the probability (1 - P) softmax(votes v + model q), a new one
    P softmax(sharpness q), where P = logistic(new - far v_max + doubt (q_new - q_old)) is that of
    none of the known ones: the fewer votes and the less of the model's probability they have, the
    higher. q_old and q_new are the logarithms of the sums over the known and the new ones that are
    looked at. The numbers are those of the largest likelihood on held-out crystals.

    Args:
        votes: Power of the votes.
        model: Power of the model's probability.
        new: Log-odds of an arrangement that the library lacks.
        far: What a lack of votes adds to them.
        doubt: What the model's own odds add to them.
        sharpness: Power of the model's probability among new arrangements.
        considered: Known arrangements that the model looks at, those with the most votes.
        beam: Unfinished new arrangements that are followed.
        kept: New arrangements that are kept.
    """

    votes: float = 0.6
    model: float = 0.2
    new: float = -2.5
    far: float = 0.02
    doubt: float = 0.4
    sharpness: float = 1.0
    considered: int = 64
    beam: int = 48
    kept: int = 24


@dataclass(frozen=True)
class Proposal:
    """One way in which the atoms of a composition may lie.

    Args:
        scaffold: Space group and sites, canonical.
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
        choice, groups = None, None
        if asked.group is not None or asked.wished is not None:
            choice = Symmetry(self.library, asked.group, asked.wished)
        if asked.group is not None:
            groups = frozenset({asked.group})
        ranking = candidates(self.library, asked.cells, self.vote, known=asked.known, choice=choice)
        looked_at = [ranking[i] for i in range(min(len(ranking), self.weighing.considered))]
        pairs = [(self._scaffold(candidate), candidate) for candidate in looked_at]
        wished = None
        if asked.wished is not None:
            able = ways(asked.wished, dict(asked.cells[0]))
            wished = list(dict.fromkeys(scaffold.canonical() for scaffold in able))
            pairs = [pair for pair in pairs if pair[0] in wished]
        scaffolds = [scaffold for scaffold, _ in pairs]
        fresh = wished
        log_units = self._log_units(asked.cells, ranking)
        if wished is None:
            fresh = self._thought_of(asked.cells, log_units, groups)
        fresh = [scaffold for scaffold in fresh or [] if scaffold not in set(scaffolds)]
        log_model = self.decoder.log_probabilities(scaffolds + fresh, groups=groups)
        log_model += [log_units[scaffold.num_atoms] for scaffold in scaffolds + fresh]
        votes = np.array([candidate.score for _, candidate in pairs])
        logs = probabilities(self.weighing, votes, log_model)
        templates = [candidate for _, candidate in pairs] + [None] * len(fresh)
        found = [
            Proposal(scaffold, log, template)
            for scaffold, log, template in zip(
                scaffolds + fresh, logs.tolist(), templates, strict=True
            )
        ]
        # Sorting is stable: known structures stay in their order.
        return sorted(found, key=lambda one: -np.inf if one.known else -one.log_probability)

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
        template = self.library.crystal(candidate.row).scaffold
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
        groups: frozenset[int] | None,
    ) -> list[Scaffold]:
        """The likeliest scaffolds by the model."""
        found: dict[Scaffold, None] = {}
        probable = [c for c in cells if log_units[sum(n for _, n in c)] > np.log(_LEAST_UNITS)]
        for contents in probable or cells[:1]:
            likeliest = self.decoder.likeliest(
                dict(contents), self.weighing.kept, groups=groups, beam=self.weighing.beam
            )
            found |= dict.fromkeys(one.scaffold.canonical() for one in likeliest)
        return list(found)


def probabilities(weighing: Weighing, votes: Floats, log_model: Floats) -> Floats:
    """Logarithms of the probabilities of known and new arrangements, see `Weighing`.

    Args:
        weighing: The powers.
        votes: Logarithm of the votes for each known one, shape (known,).
        log_model: Logarithm of the model's probability of each, the known ones first, shape (known
            + new,).
    """
    old, new = np.split(log_model, [len(votes)])
    of_old = weighing.votes * votes + weighing.model * old
    of_new = weighing.sharpness * new
    of_old = of_old - logsumexp(of_old) if len(old) else of_old
    of_new = of_new - logsumexp(of_new) if len(new) else of_new
    if not len(old) or not len(new):
        return np.concatenate([of_old, of_new])
    doubt = logsumexp(new) - logsumexp(old)
    odds = weighing.new - weighing.far * votes.max() + weighing.doubt * doubt
    return np.concatenate([of_old - np.logaddexp(0, odds), of_new - np.logaddexp(0, -odds)])
