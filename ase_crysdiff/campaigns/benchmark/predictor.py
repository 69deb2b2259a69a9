"""Errors of a predictor beside those of a constant and of a forest on composition and density."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ase_crysdiff.crystal.batch import CrystalBatch

#: Of the rows that a predictor is set beside.
CONSTANT, FOREST = "constant", "forest"


@dataclass(frozen=True, kw_only=True)
class PredictorOptions:
    """Options of `predictor`.

    Args:
        predictor: its name, see crysdiff list, or a folder
        column: of all tables, with the values in the predictor's unit
        targets: table of crystals with known values, none of which it was trained on
        training: tables that the constant, its median, and the forest are taken from
        limit: use the first so many rows with a value of each table only
        seed: of the forest
        output: JSON file of the result
    """

    predictor: str
    column: str
    targets: Path
    training: tuple[Path, ...]
    limit: int | None = None
    seed: int = 0
    output: Path = Path("predictor.json")


def predictor(options: PredictorOptions) -> BenchmarkResult:
    """Mean absolute errors of a predictor, of always saying the median of the training rows, and of
    a random forest on statistics of the elements, volume per atom and density.

    Args:
        options: What is asked for.

    Returns:
        `results`: mean absolute error and its interval, by who answers, in the predictor's unit.

    Raises:
        InputError: If a table cannot be read, or has no numbers in the column.
        MissingExtraError: If scikit-learn is not installed.
        UnknownNameError: If there is no such predictor.
    """
    import numpy as np

    from ase_crysdiff.arguments import positive
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.campaigns.benchmark.run import written
    from ase_crysdiff.crystal.batch import CrystalBatch
    from ase_crysdiff.metrics.base import mean
    from ase_crysdiff.predictors.descriptors.describing import describe
    from ase_crysdiff.predictors.fitting import plain_forest
    from ase_crysdiff.predictors.loading import load_predictor
    from ase_crysdiff.storage import ensure_writable

    if options.limit is not None:
        positive("limit", options.limit)
    ensure_writable(options.output.parent)
    asked = load_predictor(options.predictor)
    started = time.perf_counter()
    learnt = [_labelled(path, options.column, options.limit) for path in options.training]
    values = np.concatenate([labels for _, labels in learnt])
    crystals, truth = _labelled(options.targets, options.column, options.limit)
    said = asked.predict(crystals).values.numpy()
    everything = CrystalBatch.cat([*(known for known, _ in learnt), crystals])
    described = describe(everything, ("composition", "geometry"))
    rows = range(len(values), len(values) + len(truth))
    forest = plain_forest(described, values, range(len(values)), rows, options.seed)
    answers = {
        options.predictor: said,
        CONSTANT: np.full(len(truth), np.median(values)),
        FOREST: forest,
    }
    results = {}
    for name, answer in answers.items():
        errors = [e if math.isfinite(e) else None for e in np.abs(answer - truth).tolist()]
        unanswered = {i: "no answer" for i, e in enumerate(errors) if e is None}
        results[f"MAE of {name}"] = mean(errors, unanswered, {"unit": asked.unit})
    content = {
        "benchmark": "predictor",
        "predictor": options.predictor,
        "weights": asked.version,
        "unit": asked.unit,
        "column": options.column,
        "targets": {"file": options.targets.name, "count": len(truth)},
        "training": {"files": [path.name for path in options.training], "count": len(values)},
        "seed": options.seed,
        "seconds": round(time.perf_counter() - started, 1),
        "machine": machine("cpu"),
        "results": {name: result.as_plain() for name, result in results.items()},
    }
    lines = [f"{name:32} {result} {asked.unit}" for name, result in results.items()]
    lines.append(f"{len(truth)} crystals; constant and forest know {len(values)} others")
    return written(content, "\n".join(lines), options.output)


BENCHMARK = Benchmark(
    predictor, PredictorOptions, "errors of a predictor beside a constant and a forest"
)


def _labelled(
    path: Path, column: str, limit: int | None
) -> "tuple[CrystalBatch, NDArray[np.float64]]":
    """Crystals of a table in their reduced cells, and their values; rows that no network can read
    are left out.
    """
    import numpy as np

    from ase_crysdiff.crystal.reduction import batch_of, reduced_cells
    from ase_crysdiff.data.readers import read_all
    from ase_crysdiff.errors import InputError

    records = [r for r in read_all([path]) if math.isfinite(r.values.get(column, math.nan))][:limit]
    if not records:
        raise InputError(f"{path} has no numbers in a column {column!r}.")
    cells, _ = reduced_cells([record.load() for record in records])
    values = np.array([records[position].values[column] for position in cells])
    return batch_of(list(cells.values())), values
