"""A discovery from beginning to end: formulas, rounds, choice, files."""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase_crysdiff import __version__, arguments
from ase_crysdiff.campaigns.discovery.asks import ROUND, rounds
from ase_crysdiff.campaigns.discovery.choosing import Choice, Chooser
from ase_crysdiff.campaigns.discovery.drawing import Source
from ase_crysdiff.campaigns.discovery.examining import Examiner
from ase_crysdiff.campaigns.discovery.finds import Heights
from ase_crysdiff.campaigns.discovery.formulas import formulas_for
from ase_crysdiff.campaigns.discovery.result import Discovery
from ase_crysdiff.campaigns.discovery.searching import Search, Tally
from ase_crysdiff.campaigns.discovery.wish import Wish
from ase_crysdiff.campaigns.discovery.writing import write_discovery
from ase_crysdiff.diffraction.pattern import Pattern
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Workers, opened
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.reference import Known
from ase_crysdiff.metrics.sources import (
    SHIPPED,
    HullLike,
    ReferenceLike,
    check_references,
    hull_from,
    reference_from,
)
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.prototypes.library import Library
from ase_crysdiff.prototypes.retrieval import Vote
from ase_crysdiff.randomness import new_seed
from ase_crysdiff.storage import Store

#: Draws for each candidate that is asked for: made in any case, so that there is a choice, and at
#: most, if fewer than that come within the limit.
LEAST, MOST = 12, 60


@dataclass(frozen=True)
class Plan:
    """How crystals are looked for.

    Args:
        num_candidates: How many are asked for.
        draws: How many crystals are drawn, in whole rounds; "auto" draws `LEAST` for each candidate
            that is asked for, and up to `MOST` until there are enough.
        minutes: After which no further round begins; None sets no limit.
        potential: Relaxes and ranks.
        judge: A second potential, whose heights rank what the first has relaxed; None asks none.
        max_above_hull: Of candidates, eV/atom.
        new_only: Whether known crystals are no candidates.
        hull: Known compounds.
        reference: Known crystals; None asks for no novelty, so that all are candidates.
        properties: Names of predictors that are asked about candidates.
        dynamics: Whether vibrations of candidates are checked.
        pattern: A measured powder pattern that ranks the structures of a formula; None ranks by
            height.
        workers: Processes or an executor; 0 works in this one.
        progress: Whether to show progress bars; None shows them on a terminal.
    """

    num_candidates: int = 20
    draws: int | str = "auto"
    minutes: float | None = None
    potential: PotentialLike = "dao-p"
    judge: "PotentialLike | None" = None
    max_above_hull: float = 0.1
    new_only: bool = True
    hull: HullLike = SHIPPED
    reference: ReferenceLike | None = SHIPPED
    properties: tuple[str, ...] = ("band-gap",)
    dynamics: bool = True
    pattern: Pattern | None = None
    workers: Workers = 0
    progress: bool | None = None

    def __post_init__(self) -> None:
        arguments.positive("num_candidates", self.num_candidates)
        if self.draws != "auto":
            if isinstance(self.draws, str):
                raise InputError(f"draws is a number or 'auto', got {self.draws!r}.")
            if arguments.positive("draws", self.draws) < self.num_candidates:
                raise InputError(
                    f"{self.draws} draws cannot give {self.num_candidates} candidates. Ask for at "
                    f"least as many draws, better {LEAST * self.num_candidates:,}."
                )
        if self.minutes is not None:
            arguments.above_zero("minutes", self.minutes, "minutes")
        if not -0.5 <= self.max_above_hull <= 2:
            raise InputError(
                "max_above_hull is an energy between -0.5 and 2 eV/atom; crystals that can be made "
                f"lie below about 0.1. Got {self.max_above_hull!r}."
            )

    @property
    def bounds(self) -> tuple[int, int]:
        """Draws that are made in any case, and at most."""
        if isinstance(self.draws, str):
            if self.pattern is not None:
                return ROUND, ROUND
            return LEAST * self.num_candidates, MOST * self.num_candidates
        return self.draws, self.draws


@dataclass(frozen=True)
class Means:
    """Who finds crystals, and from which known ones.

    Args:
        sources: The samplers.
        predictors: Places of those that predict structures of formulas.
        creators: Places of those that draw crystals without a formula.
        library: Known crystals, which vote for formulas.
        vote: How they vote.
    """

    sources: Sequence[Source]
    predictors: Sequence[int]
    creators: Sequence[int]
    library: Library
    vote: Vote = field(default_factory=Vote)


@own_state()
def run(
    wish: Wish, plan: Plan, means: Means, folder: Path | None = None, seed: int | None = None
) -> Discovery:
    """Looks for crystals; called again after an interruption it goes on, and ends with the same.

    Args:
        wish: What is looked for.
        plan: How.
        means: With what.
        folder: Keeps what is done, and receives tables, crystals and report; None keeps nothing.
        seed: Of the run; None takes that of the folder, and a new one for a new folder.

    Raises:
        InputError: If the folder holds a run of another wish, an argument makes no sense, or the
            potential does not know a wished element.
    """
    started = time.monotonic()
    until = math.inf if plan.minutes is None else started + 60 * plan.minutes
    loaded = as_potential(plan.potential)
    wish.check(loaded)
    hull = hull_from(plan.hull, loaded)
    check_references(hull, loaded)
    reference = None if plan.reference is None else reference_from(plan.reference)
    if plan.judge is not None:
        check_references(hull, as_potential(plan.judge))
    if plan.pattern is not None and wish.composition is None:
        raise InputError(
            "A powder pattern tells the structures of one formula apart. Give the formula, such as "
            f"'TiO2', in place of {str(wish)!r}."
        )
    formulas, told = formulas_for(wish, means.library, means.vote, hull)
    settings = _settings(wish, plan, means, loaded.name, hull, reference)
    with _store(folder, settings, seed) as store, opened(plan.workers) as workers:
        search = Search(
            means.sources,
            plan.potential,
            Heights(loaded, hull),
            reference,
            plan.max_above_hull,
            int(store.facts["seed"]),
            workers,
            Store(store.path / "stages"),
            plan.progress,
        )
        asked = rounds(means.predictors, means.creators, formulas)
        finds, tally = search.run(asked, *plan.bounds, plan.num_candidates, until)
        examiner = Examiner(
            plan.potential,
            loaded,
            hull,
            reference,
            plan.max_above_hull,
            plan.judge,
            search.seed,
            workers,
            search.store,
        )
        how = plan.new_only, wish.windows, plan.properties, plan.dynamics, plan.pattern
        choice = Chooser(examiner, *how).choose(finds, plan.num_candidates)
    found = Discovery(
        wish,
        choice.candidates,
        choice.rediscovered,
        _funnel(len(formulas), told, tally, len(finds), choice),
        tally,
        {**settings, "seed": search.seed},
        hull,
        choice.notes,
        time.monotonic() - started,
        folder,
    )
    if folder is not None:
        write_discovery(found, folder)
    return found


@contextmanager
def _store(folder: Path | None, settings: Mapping[str, Any], seed: int | None) -> Iterator[Store]:
    """The store of a run, in its folder or in one that is gone at the end."""
    if folder is not None:
        old = Store.record(folder)
        known = old.get("seed") if old else None
        chosen = seed if seed is not None else (new_seed() if known is None else known)
        yield Store(folder, settings, {"seed": chosen})
        return
    with tempfile.TemporaryDirectory() as place:
        yield Store(Path(place), settings, {"seed": new_seed() if seed is None else seed})


def _settings(
    wish: Wish, plan: Plan, means: Means, potential: str, hull: Hull, reference: Known | None
) -> dict[str, Any]:
    """What the finds depend on; how many are wanted is none of it, so that a run can go on."""
    return {
        "wish": wish.as_dict(),
        "samplers": {source.name: source.version for source in means.sources},
        "potential": potential,
        "judge": None if plan.judge is None else as_potential(plan.judge).name,
        "max_above_hull": plan.max_above_hull,
        "new_only": plan.new_only,
        "hull": hull.name,
        "hull_sha256": hull.digest[:16],
        "reference": None if reference is None else reference.name,
        "reference_sha256": None if reference is None else reference.digest[:16],
        "version": __version__,
    }


def _funnel(
    formulas: int, told: str, tally: Tally, low: int, choice: Choice
) -> tuple[tuple[str, int, str], ...]:
    """Stages with their numbers and what they mean."""
    fresh = tally.drawn - tally.repeated
    sound = fresh - sum(tally.lost.values())
    meanings = {
        "distinct": "different crystals among them",
        "new": "among no known crystals",
        "all": "known or new",
        "within the windows": "with the predicted properties that are wished",
        "looked at closely": "the best of them, released from their symmetry",
        "candidates": "still within the limit, the best first",
    }
    return (
        ("formulas", formulas, told),
        ("asked", tally.asked, f"draws, in {tally.rounds} round{'s' * (tally.rounds != 1)}"),
        ("drawn", tally.drawn, "crystals"),
        ("different", fresh, "in an arrangement that was not there before"),
        ("relaxed", sound, "came to a sound end"),
        ("judged", sound - tally.unjudged, "where the hull is complete enough to say how stable"),
        ("low", low, "within the limit above the hull"),
        *((name, count, meanings[name]) for name, count in choice.counts),
    )
