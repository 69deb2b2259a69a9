"""Errors of many ways to learn a property from a few hundred labels, on published partitions."""

import logging
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult

if TYPE_CHECKING:
    from ase_crysdiff.data.labelled import LabelledCrystals
    from ase_crysdiff.data.splits import Split
    from ase_crysdiff.tasks import Table, Task

log = logging.getLogger(__name__)

#: Share of few labels that validates.
_VALIDATING = 0.2


@dataclass(frozen=True, kw_only=True)
class PropertiesOptions:
    """Options of `properties`.

    Args:
        tasks: names of tasks, see crysdiff tasks; default all with published partitions
        systems: what is compared: constant, forest (on composition and density), frozen (forest and
            kernel regression on frozen descriptors, averaged), frozen:forest, frozen:kernel, strict
            (as frozen, but no validation row is fitted to at the end),
            finetune:ENCODER (none for scratch), average:ENCODER, probe:ENCODER (kernel regression
            on what the frozen encoder sees)
        folds: only the first so many partitions
        limit: rows of each table at most, for a trial
        labels: rows of training and validation at most, of which a fifth validate: what would be
            known of a table of that size
        epochs: of each fine-tuning, at most
        minutes: time budget of each fine-tuning
        validation: whether validation rows are scored instead of test rows: what may be looked at
            while something is chosen
        seed: of forests and trainings
        keep: folder that keeps errors and trainings, so that more can follow
        output: JSON file of the result; a table lies beside it in Markdown
    """

    tasks: tuple[str, ...] = ()
    systems: tuple[str, ...] = ("constant", "forest", "strict", "frozen")
    folds: int | None = None
    limit: int | None = None
    labels: int | None = None
    epochs: int = 100
    minutes: float | None = None
    validation: bool = False
    seed: int = 0
    keep: Path | None = None
    output: Path = Path("properties.json")


def properties(options: PropertiesOptions) -> BenchmarkResult:
    """Mean absolute errors on tasks, after their transform, by partition; beside those that others
    published on the same partitions. Give the same command again after an interruption.

    Args:
        options: What is asked for.

    Returns:
        `results`: mean, spread over the partitions and each error, by task and system; `wins`: on
        how many tasks the last system errs less than each other one.

    Raises:
        UnknownNameError: If there is no such task.
        InputError: If a table is missing, there is no such system, or the folder holds another run.
    """
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.campaigns.benchmark.properties.table import markdown, summarised, text, wins
    from ase_crysdiff.campaigns.benchmark.run import written
    from ase_crysdiff.storage import Store, write_text
    from ase_crysdiff.tasks import task, tasks
    from ase_crysdiff.tasks.base import PUBLISHED

    chosen = [task(name) for name in options.tasks] or list(tasks(PUBLISHED))
    _check(options)
    settings = {
        name: getattr(options, name)
        for name in ("limit", "labels", "epochs", "minutes", "validation", "seed")
    }
    folder = options.keep or options.output.with_suffix(".parts")
    store = Store(folder, {"benchmark": "properties", **settings})
    started = time.perf_counter()
    errors = {one.name: _measured(one, options, store) for one in chosen}
    results = summarised(errors)
    units = {one.name: one.learned_unit for one in chosen}
    table = text(results, options.systems, units)
    best = options.systems[-1]
    better = wins(results, best)
    lines = [f"{best} errs less than {other} on {count}" for other, count in better.items()]
    content = {
        "benchmark": "properties",
        **settings,
        "systems": list(options.systems),
        "units": units,
        "sources": {one.name: one.source for one in chosen},
        "results": results,
        "wins": {best: better},
        "seconds": round(time.perf_counter() - started, 1),
        "machine": machine("cpu"),
    }
    write_text(options.output.with_suffix(".md"), markdown(results, options.systems, units) + "\n")
    return written(content, "\n".join([table, *lines]), options.output)


BENCHMARK = Benchmark(
    properties, PropertiesOptions, "properties from a few hundred labels, beside published errors"
)


def _check(options: PropertiesOptions) -> None:
    from ase_crysdiff.arguments import positive
    from ase_crysdiff.campaigns.benchmark.properties.systems import SYSTEMS
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.storage import ensure_writable

    unknown = [s for s in options.systems if s.partition(":")[0] not in SYSTEMS]
    if unknown or not options.systems:
        raise InputError(
            f"There are no systems {', '.join(unknown)}. There are {', '.join(SYSTEMS)}."
        )
    for name in ("folds", "limit", "labels", "epochs"):
        if getattr(options, name) is not None:
            positive(name, getattr(options, name))
    ensure_writable(options.output.parent)


def _measured(one: "Task", options: PropertiesOptions, store: Any) -> dict[str, list[float]]:
    """Errors of every partition by system, from the journal or measured now."""
    import numpy as np

    from ase_crysdiff.campaigns.benchmark.properties.systems import Part, answers
    from ase_crysdiff.data.splits import Split
    from ase_crysdiff.predictors.descriptors.describing import describe_once
    from ase_crysdiff.predictors.finetuning import FinetuneSettings

    journal = store.journal("errors", "task", "fold", "system", "error")
    done = {(e["task"], e["fold"], e["system"]): float(e["error"]) for e in journal.read()}
    count = min(one.num_folds, options.folds or one.num_folds)
    keys = [(one.name, n, system) for n in range(count) for system in options.systems]
    if all(key in done for key in keys):
        return {s: [done[one.name, n, s] for n in range(count)] for s in options.systems}
    table = one.table(limit=options.limit, progress=None)
    data, rows = labelled_rows(table)
    described = cache(partial(describe_once, data.crystals, store.file(one.name, ".npz")))
    found: dict[str, list[float]] = {system: [] for system in options.systems}
    probed: dict[str, Any] = {}
    for number, fold in enumerate(list(table.folds())[:count]):
        split = Split(*(tuple(rows[i] for i in part.tolist() if i in rows) for part in fold))
        if options.labels is not None:
            split = fewer(split, options.labels, options.seed)
        part = None
        for system in options.systems:
            key = (one.name, number, system)
            if key not in done:
                part = part or Part(
                    one,
                    data,
                    described,
                    split,
                    FinetuneSettings(
                        epochs=options.epochs, transform=one.transform, seed=options.seed
                    ),
                    store.path / one.name / str(number),
                    options.minutes,
                    options.seed,
                    probed,
                )
                scored = list(split.validation if options.validation else split.test)
                error = np.abs(answers(part, system) - part.learned)[scored].mean()
                done[key] = float(error)
                entry = dict(zip(("task", "fold", "system"), key, strict=True))
                journal.add([{**entry, "error": float(error)}])
            found[system].append(done[key])
        log.info("%s, partition %d: %s", one.name, number, {s: e[-1] for s, e in found.items()})
    return found


def fewer(split: "Split", labels: int, seed: int) -> "Split":
    """A split of which only so many rows train and validate, drawn at random; a fifth of them
    validates. All of its test rows stay.
    """
    import numpy as np

    from ase_crysdiff.data.splits import Split

    known = np.random.default_rng(seed).permutation([*split.train, *split.validation])[:labels]
    held = max(1, round(_VALIDATING * len(known)))
    train, validation = sorted(known[held:].tolist()), sorted(known[:held].tolist())
    return Split(tuple(train), tuple(validation), split.test)


def labelled_rows(table: "Table") -> tuple["LabelledCrystals", dict[int, int]]:
    """The rows of a table in their reduced cells, and their places by that in the table; the few
    that no network can read have none.
    """
    import torch

    from ase_crysdiff.crystal.reduction import batch_of, reduced_cells
    from ase_crysdiff.data.labelled import LabelledCrystals

    cells, refused = reduced_cells(table.structures)
    for row, reason in refused.items():
        log.info("%s: row %s is left out: %s", table.task.name, table.names[row], reason)
    rows = {row: place for place, row in enumerate(cells)}
    names = tuple(f"{row} {table.names[row]}" for row in cells)
    values = torch.from_numpy(table.values[list(cells)])
    return LabelledCrystals(names, batch_of(list(cells.values())), values), rows
