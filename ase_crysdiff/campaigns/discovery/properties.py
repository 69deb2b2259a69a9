"""Predicted properties of finds: those that are wished, and those that are only shown."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ase_crysdiff.campaigns.discovery.finds import Find
from ase_crysdiff.campaigns.discovery.wish import Window
from ase_crysdiff.campaigns.work import work
from ase_crysdiff.isolation import Workers
from ase_crysdiff.predictors.base import Predictor
from ase_crysdiff.predictors.loading import load_predictor
from ase_crysdiff.predictors.structures import estimates
from ase_crysdiff.storage import Store

#: Seconds of processor time for one crystal, and how many of them one process takes together.
_LIMIT, _TOGETHER = 300.0, 32


@dataclass(frozen=True)
class Properties:
    """Who predicts properties of finds.

    Args:
        workers: Processes or an executor; 0 works in this one.
        store: Keeps what was predicted.
    """

    workers: Workers
    store: Store

    def within(
        self, finds: Sequence[Find], windows: Mapping[str, Window], stage: str
    ) -> tuple[list[Find], list[str]]:
        """The finds whose properties lie in all windows, and what must be said of those without a
        value, which lie in none.

        Args:
            finds: Any.
            windows: Lowest and highest value by name of the predictor.
            stage: Of the finds; a crystal that has moved since is another one.
        """
        left, notes = list(finds), []
        for name, (low, high) in windows.items():
            asked = self.of(left, name, stage)
            without = [f for f in asked if math.isnan((f.properties or {})[name][0])]
            if without:
                notes.append(
                    f"{len(without)} of {len(asked)} crystals have no {name} and are left out, "
                    f"such as {without[0].formula}: {without[0].remarks[-1]}"
                )
            left = [f for f in asked if low <= (f.properties or {})[name][0] <= high]
        return left, notes

    def of(self, finds: Sequence[Find], name: str, stage: str) -> list[Find]:
        """The finds with a property more: its value, the standard deviation of its error, its unit;
        NaN, and a remark that says why, where there is no value.
        """
        tasks = [(f"{name} {stage} {f.key}", (name, f.structure)) for f in finds]
        groups = [tasks[i : i + _TOGETHER] for i in range(0, len(tasks), _TOGETHER)]
        done, failed = work(
            self.store, "properties", _predict, groups, workers=self.workers, timeout=_LIMIT
        )
        unit = _predictor(name).unit if finds else ""
        told = []
        for find, (key, _) in zip(finds, tasks, strict=True):
            value, deviation, why = done.get(key) or (math.nan, math.nan, failed[key])
            known = {**(find.properties or {}), name: (value, deviation, unit)}
            remarks = find.remarks if why is None else (*find.remarks, f"no {name}: {why}")
            told.append(replace(find, properties=known, remarks=remarks))
        return told


@lru_cache(maxsize=8)
def _predictor(name: str) -> Predictor:
    """Loaded once in each process."""
    return load_predictor(name)


def _predict(task: tuple[str, Any]) -> tuple[float, float, str | None]:
    """Value, standard deviation of its error, and why there are none; to be called in another
    process.
    """
    name, structure = task
    said = estimates(_predictor(name), [structure], False)
    return float(said.values[0]), float(said.uncertainty[0]), said.failures.get(0)
