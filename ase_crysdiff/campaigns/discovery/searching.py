"""Rounds of drawing and relaxing, until there is enough, nothing more comes, or time is up."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from pymatgen.core import Structure

from ase_crysdiff.campaigns.discovery.asks import Ask
from ase_crysdiff.campaigns.discovery.drawing import Drawing, Source, draw_rounds, unseen
from ase_crysdiff.campaigns.discovery.finds import Find, Heights, finds_of
from ase_crysdiff.campaigns.discovery.resting import relax_into
from ase_crysdiff.isolation import Workers
from ase_crysdiff.metrics.reference import Known
from ase_crysdiff.potentials.loading import PotentialLike
from ase_crysdiff.relaxation.settings import SYMPREC
from ase_crysdiff.relaxation.symmetric import KeptSymmetry
from ase_crysdiff.storage import Store

log = logging.getLogger(__name__)

#: Rounds that are worked on together at most: enough for many processes, few enough to look at the
#: clock between them.
_TOGETHER = 8
#: After so many rounds without a new arrangement the samplers have nothing more to give.
_BARREN = 3


@dataclass
class Tally:
    """How many crystals came how far.

    Args:
        rounds: Rounds that were made.
        asked: Draws that were asked for.
        failed: Reasons of draws without a crystal, with their numbers.
        drawn: Crystals that were drawn.
        repeated: Of these, arrangements that had been there before.
        lost: Reasons of crystals whose relaxation is not believed, with their numbers.
        unjudged: Crystals where the hull lacks their rivals.
        high: Crystals above the limit.
    """

    rounds: int = 0
    asked: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    drawn: int = 0
    repeated: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    unjudged: int = 0
    high: int = 0


@dataclass(frozen=True)
class Search:
    """What a search works with.

    Args:
        sources: Samplers.
        potential: By name or as it was given, so that processes find it.
        heights: Says how far above the hull crystals lie.
        reference: Known crystals; None asks for no novelty.
        max_above_hull: Of what is kept, eV/atom.
        seed: Of the run.
        workers: Processes.
        store: Keeps what is done.
        progress: Whether to show progress bars; None shows them on a terminal.
    """

    sources: Sequence[Source]
    potential: PotentialLike
    heights: Heights
    reference: Known | None
    max_above_hull: float
    seed: int
    workers: Workers
    store: Store
    progress: bool | None

    def run(
        self, rounds: Iterator[list[Ask]], least: int, most: int, enough: int, until: float
    ) -> tuple[list[Find], Tally]:
        """All finds within the limit, in the order of their draws, and how the others were lost.

        Args:
            rounds: The asks.
            least: Draws that are made in any case.
            most: Draws at most.
            enough: New crystals within the limit after which no further round begins.
            until: Of the monotonic clock: no round begins after it but the first.
        """
        finds: list[Find] = []
        tally, seen, barren = Tally(), set[tuple[str, str]](), 0
        longest = 0.0
        while tally.asked < most and barren < _BARREN:
            began = time.monotonic()
            if tally.rounds and began + longest > until:
                log.info("the time is up after %d rounds", tally.rounds)
                break
            if tally.asked >= least and self._new(finds) >= enough:
                break
            wave = self._wave(rounds, tally, least, most, until)
            if not wave:
                break
            before = tally.drawn - tally.repeated
            finds += self._rounds(wave, seen, tally)
            barren = 0 if tally.drawn - tally.repeated > before else barren + len(wave)
            longest = max(longest, (time.monotonic() - began) / len(wave))
            log.info(
                "%d draws, %d finds within %g eV/atom", tally.drawn, len(finds), self.max_above_hull
            )
        return finds, tally

    def _new(self, finds: Sequence[Find]) -> int:
        """How many different crystals there are that nobody knows, by formula and space group: no
        matcher is asked before the end.
        """
        return len({(f.formula, f.result.space_group) for f in finds if not f.known})

    def _wave(
        self, rounds: Iterator[list[Ask]], tally: Tally, least: int, most: int, until: float
    ) -> dict[int, list[Ask]]:
        """The next rounds that are made in any case, at least one; with a limit of time, one."""
        wave: dict[int, list[Ask]] = {}
        for asks in islice(rounds, _TOGETHER):
            wave[tally.rounds + len(wave)] = asks
            asked = tally.asked + sum(a.count for several in wave.values() for a in several)
            if asked >= min(least, most) or until < float("inf"):
                break
        return wave

    def _rounds(
        self, wave: dict[int, list[Ask]], seen: set[tuple[str, str]], tally: Tally
    ) -> list[Find]:
        """What some rounds bring."""
        names = {number: f"drawn-{number:04d}" for number in wave}
        missing = {n: asks for n, asks in wave.items() if not self.store.has(names[n])}
        for number, drawn in draw_rounds(missing, self.sources, self.seed, self.workers).items():
            self.store.keep(names[number], drawn.as_dict())
        stages = {}
        for number, asks in wave.items():
            drawing = Drawing.from_dict(self.store.find(names[number]))
            fresh = unseen(drawing.draws, seen)
            stages[f"relaxed-{number:04d}"] = {draw.key: draw.structure for draw in fresh}
            tally.rounds += 1
            tally.asked += sum(ask.count for ask in asks)
            tally.failed.update(drawing.failed)
            tally.drawn += len(drawing.draws)
            tally.repeated += len(drawing.draws) - len(fresh)
        relaxed = relax_into(
            self.store,
            stages,
            self.potential,
            KeptSymmetry(SYMPREC),
            self.workers,
            self.progress,
        )
        found, lost = finds_of([pair for pairs in relaxed.values() for pair in pairs], self.heights)
        judged = [f for f in found if f.unjudged is None]
        low = [f for f in judged if f.height <= self.max_above_hull]
        tally.lost.update(lost.values())
        tally.unjudged += len(found) - len(judged)
        tally.high += len(judged) - len(low)
        given = {key: s for structures in stages.values() for key, s in structures.items()}
        return [self._told(find, given[find.key]) for find in low]

    def _told(self, find: Find, drawn: Structure) -> Find:
        """With whether it is known: as it was drawn, or where it came to rest. The potential may
        carry a known crystal away from where it is known.
        """
        if self.reference is None:
            return find
        known = self.reference.contains(drawn) or self.reference.contains(find.structure)
        return replace(find, known=known)
