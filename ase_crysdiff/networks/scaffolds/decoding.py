"""Scaffolds from a model: drawn, drawn without replacement, the likeliest, and their scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.frontier import Counts, Frontier, Wish, root_of, roots_of
from ase_crysdiff.networks.scaffolds.partial import Partial
from ase_crysdiff.networks.scaffolds.scoring import log_probabilities
from ase_crysdiff.networks.scaffolds.search import (
    Uniform,
    beam_searches,
    check_number,
    stochastic_beam_search,
)
from ase_crysdiff.networks.scaffolds.stochastic_beam import perturbed
from ase_crysdiff.shapes import Float
from ase_crysdiff.symmetry.decisions import ordered
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import mirrored

#: Searches that are read together, since what was read of every beam is kept in memory.
_SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class ScoredScaffold:
    """A scaffold with the logarithm of its probability, nats."""

    scaffold: Scaffold
    log_probability: float


class ScaffoldDecoder:
    """Decides for scaffolds by a model's probabilities, with what cannot be completed left out.

    All methods take the same wishes: allowed space groups, a class of the energy above the hull,
    and how much that class counts. They are explained at `Wish`.

    Args:
        model: In evaluation mode.
    """

    def __init__(self, model: ScaffoldModel) -> None:
        self.model = model

    def draw(
        self,
        counts: Sequence[Counts],
        uniform: Callable[[int], Sequence[float]],
        *,
        temperature: float = 1.0,
        groups: frozenset[int] | None = None,
        hull: int = 0,
        guidance_weight: float = 1.0,
    ) -> list[ScoredScaffold]:
        """One scaffold for each composition, drawn from the model, as the model describes it.

        Args:
            counts: Compositions.
            uniform: Random numbers in [0, 1) of a decision, one for each composition.
            temperature: Divides the logarithms of the probabilities of letters and groups; those
                that are reported are not divided.
            groups: As of `Wish`.
            hull: As of `Wish`.
            guidance_weight: As of `Wish`.

        Raises:
            InputError: If none of the groups can hold one of the compositions.
        """
        wish = Wish(groups, hull, guidance_weight)
        done = [root_of(wish, c) for c in counts]
        if not done:
            return []
        live, decision = list(range(len(done))), 0
        frontier = Frontier(self.model, done, wish)
        while live:
            logs = frontier.options()
            weights = np.exp((logs - logs.max(1, keepdims=True)) / temperature)
            steps = np.cumsum(weights, 1)
            numbers = np.asarray(uniform(decision))[live, None]
            # Never beyond the last that is allowed, however the sum was rounded.
            places = (steps / steps[:, -1:] <= numbers).sum(1)
            last = logs.shape[1] - 1 - np.isfinite(logs[:, ::-1]).argmax(1)
            for row, choice in enumerate(np.minimum(places, last).tolist()):
                before = frontier.partials[row]
                total = before.log_probability + float(logs[row, choice])
                done[live[row]] = before.follow(choice, total)
            kept = [row for row, i in enumerate(live) if not done[i].finished]
            live = [live[row] for row in kept]
            frontier.advance(kept, [done[i] for i in live])
            decision += 1
        return [_named(p.scaffold(), groups, p.log_probability) for p in done]

    def likeliest(
        self,
        counts: Counts | Sequence[Counts],
        number: int,
        *,
        log_weights: Sequence[float] | None = None,
        beam: int = 64,
        groups: frozenset[int] | None = None,
        hull: int = 0,
        guidance_weight: float = 1.0,
    ) -> list[ScoredScaffold]:
        """The likeliest scaffolds of a composition, the best first, by beam search; canonical.

        The probabilities of those descriptions of a scaffold that the search has met are added.

        Args:
            counts: A composition, or several of which one is decided for first.
            number: At most so many.
            log_weights: Logarithms of the probabilities of the compositions, up to one number; None
                for equal ones.
            beam: Unfinished scaffolds that are followed.
            groups: As of `Wish`.
            hull: As of `Wish`.
            guidance_weight: As of `Wish`.

        Raises:
            InputError: If none of the groups can hold any of the compositions, or the number is
                none.
        """
        (found,) = self.likeliest_each(
            [counts],
            number,
            log_weights=[log_weights],
            beam=beam,
            groups=groups,
            hull=hull,
            guidance_weight=guidance_weight,
        )
        return found

    def likeliest_each(
        self,
        several: Sequence[Counts | Sequence[Counts]],
        number: int,
        *,
        log_weights: Sequence[Sequence[float] | None],
        beam: int = 64,
        groups: frozenset[int] | None = None,
        hull: int = 0,
        guidance_weight: float = 1.0,
    ) -> list[list[ScoredScaffold]]:
        """The same as `likeliest` for each of several questions, which are read together.

        Args:
            several: What `likeliest` takes as `counts`, for each question.
            number: At most so many for each.
            log_weights: What `likeliest` takes, for each question.
            beam: Unfinished scaffolds that are followed for each.
            groups: As of `Wish`.
            hull: As of `Wish`.
            guidance_weight: As of `Wish`.

        Raises:
            InputError: If none of the groups can hold any composition of a question, or the number
                is none.
        """
        wish = Wish(groups, hull, guidance_weight)
        check_number(number)
        asked = [roots_of(wish, *one) for one in zip(several, log_weights, strict=True)]
        found: list[dict[Scaffold, float]] = []
        for start in range(0, len(asked), _SIDE_BY_SIDE):
            part = asked[start : start + _SIDE_BY_SIDE]
            frontier = Frontier(self.model, list(chain.from_iterable(part)), wish)
            owners = [owner for owner, roots in enumerate(part) for _ in roots]
            found += beam_searches(frontier, owners, number, beam)
        return [[_named(scaffold, groups, log) for scaffold, log in one.items()] for one in found]

    def draw_distinct(
        self,
        counts: Counts | Sequence[Counts],
        number: int,
        uniform: Uniform,
        *,
        log_weights: Sequence[float] | None = None,
        groups: frozenset[int] | None = None,
        hull: int = 0,
        guidance_weight: float = 1.0,
    ) -> list[ScoredScaffold]:
        """Different scaffolds of a composition, drawn one after the other without replacement;
        canonical.

        The first is a draw from the model, the second a draw from what is left, and so on; a lower
        number gives the first ones of a higher number. Equal descriptions are drawn as one, with
        the sum of their probabilities; the probability of the canonical one is reported.

        Args:
            counts: A composition, or several of which one is decided for first.
            number: How many; fewer if there are no more.
            uniform: Random numbers, see `Uniform`.
            log_weights: Logarithms of the probabilities of the compositions, up to one number; None
                for equal ones.
            groups: As of `Wish`.
            hull: As of `Wish`.
            guidance_weight: As of `Wish`.

        Raises:
            InputError: If none of the groups can hold any of the compositions, or the number is
                none.

        Source: Kool, van Hoof and Welling 2019.
        """
        wish = Wish(groups, hull, guidance_weight)
        check_number(number)
        roots = roots_of(wish, counts, log_weights)
        logs = np.array([[root.log_probability for root in roots]])
        scores = perturbed(logs, np.zeros(1), uniform(0, 1, len(roots)))[0]
        order = np.argsort(-scores, kind="stable")
        beam, distinct = number + number // 8 + 2, dict[Scaffold, float]()
        while True:
            frontier = Frontier(self.model, [roots[i] for i in order[:beam]], wish)
            drawn = stochastic_beam_search(frontier, scores[order[:beam]], beam, uniform)
            distinct = _distinct(drawn)
            # Descriptions of the same scaffold leave room, which more draws fill in the same order.
            if len(distinct) >= number or len(drawn) < beam:
                break
            beam *= 2
        scaffolds = list(distinct)[:number]
        missing = [s for s in scaffolds if np.isnan(distinct[s])]
        weights = {root.pairs: root.log_probability for root in roots}
        for scaffold, log in zip(
            missing, log_probabilities(self.model, missing, wish), strict=True
        ):
            distinct[scaffold] = float(log) + weights[tuple(ordered(scaffold.counts))]
        return [_named(scaffold, groups, distinct[scaffold]) for scaffold in scaffolds]

    def log_probabilities(
        self,
        scaffolds: Sequence[Scaffold],
        *,
        all_descriptions: bool = False,
        groups: frozenset[int] | None = None,
        hull: int = 0,
        guidance_weight: float = 1.0,
    ) -> Float[np.ndarray, " scaffolds"]:
        """Logarithms of the probabilities of scaffolds, each given its composition, nats.

        Args:
            scaffolds: Of any compositions.
            all_descriptions: Whether to add the probabilities of all equivalent descriptions. The
                model has seen the canonical ones alone and knows: others have about 1 %.
            groups: As of `Wish`. A scaffold of another group has the probability 0.
            hull: As of `Wish`.
            guidance_weight: As of `Wish`.

        Raises:
            InputError: If a scaffold has more elements than the model knows places for.
        """
        wish = Wish(groups, hull, guidance_weight)
        if not all_descriptions:
            return log_probabilities(self.model, [s.canonical() for s in scaffolds], wish)
        described = [scaffold.descriptions() for scaffold in scaffolds]
        logs = log_probabilities(self.model, [s for parts in described for s in parts], wish)
        ends = np.cumsum([len(parts) for parts in described])
        return np.array([np.logaddexp.reduce(part) for part in np.split(logs, ends[:-1])])


def _distinct(drawn: Sequence[Partial]) -> dict[Scaffold, float]:
    """Canonical scaffolds in the order in which the first description of each was drawn, with the
    log-probability of the canonical one; NaN if that was not drawn.
    """
    found: dict[Scaffold, float] = {}
    for partial in drawn:
        scaffold = partial.scaffold()
        canonical = scaffold.canonical()
        found.setdefault(canonical, np.nan)
        if scaffold == canonical:
            found[canonical] = partial.log_probability
    return found


def _named(scaffold: Scaffold, groups: frozenset[int] | None, log: float) -> ScoredScaffold:
    """With a group that was wished for. Of mirror images the model knows the lower group alone."""
    if groups is not None and scaffold.group not in groups:
        wished = next(n for n in sorted(groups) if mirrored(n) == scaffold.group)
        scaffold = Scaffold(wished, scaffold.sites)
    return ScoredScaffold(scaffold, log)
