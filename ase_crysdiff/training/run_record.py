"""What a training run began with, kept in its checkpoints so that nothing else goes on in its
folder.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ase_crysdiff.errors import InputError
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task

#: Settings that change neither the weights nor the order of anything, but what is written when.
BOOKKEEPING = frozenset({"checkpoint_every", "log_every"})
#: A setting that changes nothing where the validation set does not choose the weights.
VALIDATION = "validate_every"
#: The input that the initial weights are.
ORIGIN = "origin"
#: Numbers that differ by less than this, relatively, are the same: statistics of the data depend in
#: the last digits on the machine that sums them.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class RunRecord:
    """Everything that the result of a run depends on.

    Args:
        config: The names and numbers that the model is built from.
        settings: The training settings that count, and the number of processes; None where a
            checkpoint of an older version does not tell.
        inputs: Digests of the data and, if there is one, of the origin of the initial weights; None
            where a checkpoint of an older version does not tell.
        history: What was changed on purpose on the way, each with its step.
    """

    config: Mapping[str, Any]
    settings: Mapping[str, Any] | None = None
    inputs: Mapping[str, str] | None = None
    device: str | None = None
    history: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)

    @staticmethod
    def of(task: Task, settings: TrainSettings, processes: int, device: str) -> "RunRecord":
        """The record of a run that begins.

        Args:
            task: What is trained.
            settings: How.
            processes: Of distributed training; each takes a batch of its own in every step.
            device: `cpu` or `cuda`.
        """
        free = BOOKKEEPING | (set() if task.early_stopping else {VALIDATION})
        counting = {name: value for name, value in asdict(settings).items() if name not in free}
        counting["processes"] = processes
        if task.early_stopping is not None:
            counting["patience"] = task.early_stopping.patience
        return RunRecord(plain(task.config), counting, dict(task.inputs), device)

    def metadata(self) -> dict[str, str]:
        """The entries of a checkpoint, as JSON by name."""
        return {
            "config": json.dumps(self.config, sort_keys=True),
            "settings": json.dumps(self.settings, sort_keys=True),
            "inputs": json.dumps(self.inputs, sort_keys=True),
            "device": json.dumps(self.device),
            "history": json.dumps(self.history),
        }

    @staticmethod
    def read(metadata: Mapping[str, str]) -> "RunRecord":
        """The record in the entries of a checkpoint, this version's or an older one's."""
        return RunRecord(
            json.loads(metadata["config"]),
            json.loads(metadata.get("settings", "null")),
            json.loads(metadata.get("inputs", "null")),
            json.loads(metadata.get("device", "null")),
            tuple(json.loads(metadata.get("history", "[]"))),
        )

    def continued(
        self, asked: "RunRecord", step: int, folder: Path, extend: bool = False
    ) -> "RunRecord":
        """The record of this run when it goes on.

        Args:
            asked: What the run is called with now.
            step: Where it is.
            folder: Of the run, for the message.
            extend: Whether the course of the learning rate may change, and the origin be another,
                which a run that has begun does not read again: names of shipped weights mean others
                after an update.

        Raises:
            InputError: If anything else differs; the message names every difference.
        """
        wrong = []
        changed: dict[str, Any] = {}
        if self.inputs is not None and asked.inputs is not None:  # first: they explain the config
            old, new = dict(self.inputs), dict(asked.inputs)
            if extend and old.get(ORIGIN) and new.get(ORIGIN) and old[ORIGIN] != new[ORIGIN]:
                changed[ORIGIN] = [old.pop(ORIGIN), new.pop(ORIGIN)]
            wrong += _other_inputs(old, new)
        wrong += [f"config {line}" for line in differences(self.config, asked.config)]
        if self.settings is not None and asked.settings is not None:
            old, new = dict(self.settings), dict(asked.settings)
            if extend:
                changed |= {
                    name: [old[name], new[name]]
                    for name in TrainSettings.COURSE
                    if old[name] != new[name]
                }
                old |= {name: new[name] for name in TrainSettings.COURSE}
            wrong += [f"setting {line}" for line in differences(old, new)]
        if wrong:
            course = ", ".join(TrainSettings.COURSE)
            raise InputError(
                f"{folder} holds a run that began otherwise: {'; '.join(wrong)}. Give it what it "
                f"began with, or give another folder to begin anew. {course} and the origin may "
                "change when that is asked for: --extend, or extend=True."
            )
        if self.device not in (None, asked.device):
            changed["device"] = [self.device, asked.device]
        history = (*self.history, {"step": step, "changed": changed}) if changed else self.history
        return replace(asked, config=self.config, history=history)


def plain(value: Any) -> Any:
    """A config as JSON gives it back: lists for tuples, text for enumerated values."""
    return json.loads(json.dumps(value))


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Where two configs differ, as `entry: old (the run) against new (now)`.

    Args:
        old: What the run has.
        new: What it is called with.
        name: Of the entry that they are the values of.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in (*old, *(k for k in new if k not in old)):
            inner = f"{name}.{key}" if name else str(key)
            if key in old and key in new:
                yield from differences(old[key], new[key], inner)
            else:
                yield f"{inner}: {_shown(old, key)} (the run) against {_shown(new, key)} (now)"
    elif not _same(old, new):
        yield f"{name}: {_short(old)} (the run) against {_short(new)} (now)"


def _other_inputs(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What is said of other data or another origin of the weights."""
    return [
        f"{name}: {_digest(old.get(name))} (the run) against {_digest(new.get(name))} (now)"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _digest(value: str | None) -> str:
    return "none" if value is None else f"{value[:12]}…"


def _shown(values: Mapping[str, Any], key: str) -> str:
    return _short(values[key]) if key in values else "nothing"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_same(a, b) for a, b in zip(old, new, strict=True))
    numbers = (int, float)
    if isinstance(old, float) or isinstance(new, float):
        return (
            isinstance(old, numbers)
            and isinstance(new, numbers)
            and math.isclose(old, new, rel_tol=_TOLERANCE)
        )
    return bool(old == new)
