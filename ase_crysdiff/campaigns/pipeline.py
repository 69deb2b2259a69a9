"""Steps that crystals go through one after the other. Every result is kept, and a killed run goes
on where it was.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from monty.json import MontyEncoder
from pymatgen.core import Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.progress import tqdm
from ase_crysdiff.storage import Store


@dataclass(frozen=True)
class Candidate:
    """A crystal on its way through a pipeline.

    Args:
        key: Names it; descendants append `.0`, `.1`, …
        structure: The crystal.
        record: What was found on the way, as JSON.
    """

    key: str
    structure: Structure
    record: Mapping[str, Any] = field(default_factory=dict)

    def becomes(self, structure: Structure, **found: Any) -> "Candidate":
        """This candidate after a step: its key stays, its record grows."""
        return Candidate(self.key, structure, {**self.record, **found})

    def descendant(self, number: int, structure: Structure, **found: Any) -> "Candidate":
        """One of several candidates that a step makes of this one."""
        return Candidate(f"{self.key}.{number}", structure, {**self.record, **found})

    @property
    def number(self) -> int:
        """Of the first ancestor."""
        return int(self.key.split(".")[0])


@dataclass(frozen=True)
class Outcome:
    """What a step made of one candidate.

    Args:
        candidates: None, one or several.
        failure: Why there are none; None if nothing failed.
    """

    candidates: tuple[Candidate, ...] = ()
    failure: str | None = None


class Step(ABC):
    """One thing that is done to candidates; its subclasses are frozen dataclasses whose fields are
    their settings.
    """

    #: Part of the name of its folder.
    name: ClassVar[str]

    @abstractmethod
    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        """What becomes of a candidate. Whatever it raises costs this candidate only.

        Args:
            candidate: The candidate.
            survey: What `survey` has found.
        """

    def survey(self, candidates: Sequence[Candidate]) -> Mapping[str, Any]:
        """What must be known of all candidates before any is worked on, as JSON."""
        return {}

    def run(
        self, candidates: Sequence[Candidate], survey: Mapping[str, Any]
    ) -> Iterator[tuple[str, Outcome]]:
        """Key and outcome of every candidate, each as soon as it is known."""
        for candidate in candidates:
            try:
                yield candidate.key, Outcome(tuple(self.each(candidate, survey)))
            except Exception as error:  # one bad candidate must not end the others
                yield (
                    candidate.key,
                    Outcome(failure=f"{error}" if isinstance(error, InputError) else f"{error!r}"),
                )

    @property
    def settings(self) -> dict[str, Any]:
        """The fields as text: when they change, outcomes that are kept no longer count."""
        compared = [f.name for f in fields(self) if f.compare]  # type: ignore[arg-type]
        return {"step": self.name, **{name: _setting(getattr(self, name)) for name in compared}}


@dataclass(frozen=True)
class PipelineResult:
    """What a pipeline made.

    Args:
        candidates: Those that went through all steps.
        outcomes: For each step, in order, its name and the outcome of every candidate by key.
    """

    candidates: tuple[Candidate, ...]
    outcomes: tuple[tuple[str, Mapping[str, Outcome]], ...]

    def after(self, position: int) -> list[Candidate]:
        """The candidates that there were after the step at this position."""
        return [c for outcome in self.outcomes[position][1].values() for c in outcome.candidates]

    @property
    def failures(self) -> dict[str, str]:
        """Step and reason by key of the candidates that were lost."""
        lost: dict[str, str] = {}
        for name, outcomes in self.outcomes:
            lost |= {
                key: f"{name}: {o.failure}" for key, o in outcomes.items() if o.failure is not None
            }
        return lost


@dataclass(frozen=True)
class Pipeline:
    """Steps in their order.

    Args:
        steps: Each takes what the one before has left.
    """

    steps: tuple[Step, ...]

    def run(
        self,
        candidates: Sequence[Candidate],
        folder: str | Path | None = None,
        progress: bool | None = None,
    ) -> PipelineResult:
        """Puts candidates through all steps.

        Args:
            candidates: With different keys.
            folder: Keeps the outcome of every candidate at every step, in `01-name/key.json`.
                Outcomes that are there, of the same candidate and the same settings, are taken from
                there. None keeps them in memory only.
            progress: Whether to show progress bars; None shows them on a terminal.

        Raises:
            InputError: If the folder cannot be written.
        """
        history: list[tuple[str, Mapping[str, Outcome]]] = []
        for number, step in enumerate(self.steps, start=1):
            name = f"{number:02d}-{step.name}"
            store = None if folder is None else Store(Path(folder) / name)
            survey = step.survey(candidates)
            fingerprints = {c.key: _fingerprint(step, c, survey) for c in candidates}
            known: dict[str, Outcome] = {}
            if store is not None:
                found = {k: _kept(store, k, digest) for k, digest in fingerprints.items()}
                known = {k: outcome for k, outcome in found.items() if outcome is not None}
            bar = tqdm(
                total=len(candidates),
                initial=len(known),
                desc=name,
                disable=None if progress is None else not progress,
            )
            with bar:
                for key, outcome in step.run([c for c in candidates if c.key not in known], survey):
                    known[key] = outcome
                    if store is not None:
                        _keep(store, key, fingerprints[key], outcome)
                    bar.update()
            history.append((name, {c.key: known[c.key] for c in candidates}))
            candidates = [c for o in history[-1][1].values() for c in o.candidates]
        return PipelineResult(tuple(candidates), tuple(history))


def _kept(store: Store, key: str, fingerprint: str) -> Outcome | None:
    """The outcome of a candidate if it is there, whole, and of the same work."""
    try:
        entry = store.find(key)
        if entry is None or entry["of"] != fingerprint:
            return None
        found = tuple(
            Candidate(c["key"], Structure.from_dict(c["structure"]), c["record"])
            for c in entry["candidates"]
        )
        return Outcome(found, entry["failure"])
    except (InputError, ValueError, KeyError, TypeError):  # damaged: it is computed again
        return None


def _keep(store: Store, key: str, fingerprint: str, outcome: Outcome) -> None:
    kept = [
        {"key": c.key, "structure": c.structure.as_dict(), "record": c.record}
        for c in outcome.candidates
    ]
    entry = {"of": fingerprint, "failure": outcome.failure, "candidates": kept}
    store.keep(key, entry, MontyEncoder().default)


def _fingerprint(step: Step, candidate: Candidate, survey: Mapping[str, Any]) -> str:
    """Tells work apart: the same step with the same settings on the same candidate."""
    structure = candidate.structure
    numbers = [structure.lattice.matrix.round(6).tolist(), structure.frac_coords.round(6).tolist()]
    known = [step.settings, survey, candidate.record, [str(s) for s in structure.species], numbers]
    return hashlib.sha256(json.dumps(known, sort_keys=True, cls=MontyEncoder).encode()).hexdigest()[
        :16
    ]


def _setting(value: Any) -> Any:
    """A setting as JSON; models and hulls go by their name and digest."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(k): _setting(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [_setting(v) for v in value]
    return [
        type(value).__name__,
        *(
            str(x)
            for n in ("name", "version", "digest", "weights")
            if (x := getattr(value, n, None))
        ),
    ]
