"""A property of the crystals in files, as a table or written into them, and beside known values."""

import csv
import io
import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ase_crysdiff.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ase_crysdiff.data.reading.record import Record

#: Crystals that are held in memory at a time.
_GROUP = 4096
#: What `predict_files` can write.
ENDINGS = (".csv", ".extxyz", ".json", ".db")


@runtime_checkable
class PropertyPredictor(Protocol):
    """What is asked of a predictor, such as `pymatgen_ext.StructurePredictor`."""

    name: str

    @property
    def target(self) -> str:
        """Name of the property."""
        ...

    @property
    def unit(self) -> str:
        """Its unit."""
        ...

    @property
    def report(self) -> Any:
        """Of the last prediction: `refused` and `remarks`, by position; None before the first."""
        ...

    def predict(self, structures: Any, *, return_uncertainty: bool, progress: bool | None) -> Any:
        """Values of structures in the unit of the predictor, NaN where there is none; with
        `return_uncertainty` values and one standard deviation of each.
        """
        ...

    def annotated(self, structure: Any, value: float, uncertainty: float, remark: str) -> Any:
        """A copy of a structure with value, uncertainty and remark among its properties."""
        ...


@dataclass(frozen=True)
class PredictedFiles:
    """A property of the crystals of files.

    Args:
        names: Of the crystals, in the order of the files.
        values: One each, in the predictor's unit; NaN where there is none.
        uncertainty: One each, in the same unit; NaN where there is none.
        reasons: Why crystals have no value, by position.
        remarks: What must be said beside a value, by position.
        comparison: With known values: mean absolute error, how many known values have no
            prediction, and the name of the plot beside the output; None if nothing was compared.
    """

    names: Sequence[str]
    values: "NDArray[Any]"
    uncertainty: "NDArray[Any]"
    reasons: Mapping[int, str]
    remarks: Mapping[int, str]
    comparison: Mapping[str, Any] | None = None


def check_output(output: Path) -> None:
    """Refuses a file that cannot be written, before anything is predicted.

    Raises:
        InputError: If its ending is not known or its folder cannot be written.
    """
    from ase_crysdiff.storage import check_ending, ensure_writable

    check_ending(output, ENDINGS)
    ensure_writable(output.parent)


def predict_files(
    predictor: "PropertyPredictor",
    files: Sequence[Path],
    output: Path,
    compare: str | None = None,
) -> PredictedFiles:
    """Predicts a property of every crystal in files and writes the result.

    Args:
        predictor: Of the property.
        files: CIF, POSCAR, extended XYZ, ASE .db, CSV with a cif column, folders of those.
        output: A table (.csv), or the crystals with their values (.extxyz, .json, .db).
        compare: Column of the input tables with known values; a plot of predicted over known
            values is then written beside the output.

    Raises:
        InputError: If the output cannot be written, a file does not exist, or no table has numbers
            in that column.
    """
    from ase_crysdiff.data.readers import read_all

    check_output(output)
    records = read_all(files)
    known = _known(records, compare)
    structures, found = _predict(predictor, records)
    _write([predictor], structures, [found], output)
    if known is None:
        return found
    return replace(found, comparison=_compared(predictor, known, found.values, output))


def predict_properties(
    predictors: "Sequence[PropertyPredictor]", files: Sequence[Path], output: Path
) -> list[PredictedFiles]:
    """Predicts several properties of every crystal in files, and writes one table or one file with
    all of them.

    Args:
        predictors: Of different properties.
        files: As of `predict_files`.
        output: As of `predict_files`; a table has columns for each property.

    Returns:
        What became of each property, in their order.

    Raises:
        InputError: As `predict_files`, or if two predictors are of one property.
    """
    from ase_crysdiff.data.readers import read_all

    targets = Counter(predictor.target for predictor in predictors)
    twice = [target for target, count in targets.items() if count > 1]
    if twice:
        raise InputError(
            f"Two predictors are of {', '.join(twice)}; their values would have one name. Ask them "
            "one after the other, with an output for each."
        )
    check_output(output)
    records = read_all(files)
    asked = [_predict(predictor, records) for predictor in predictors]
    found = [result for _, result in asked]
    _write(predictors, asked[0][0], found, output)
    return found


def _write(
    predictors: "Sequence[PropertyPredictor]",
    structures: list[Any],
    found: Sequence[PredictedFiles],
    output: Path,
) -> None:
    from ase_crysdiff.storage import write_text

    if output.suffix == ".csv":
        write_text(output, _table(predictors, found))
    else:
        _write_annotated(predictors, structures, found, output)


def _predict(
    predictor: "PropertyPredictor", records: "list[Record]"
) -> tuple[list[Any], PredictedFiles]:
    """Structures, and what became of each."""
    import numpy as np

    from ase_crysdiff.data.packing import reason_of
    from ase_crysdiff.progress import tqdm

    values, spread = np.full(len(records), np.nan), np.full(len(records), np.nan)
    structures: list[Any] = []
    reasons: dict[int, str] = {}
    remarks: dict[int, str] = {}
    for first in tqdm(
        range(0, len(records), _GROUP), desc=predictor.name, unit=" groups", disable=None
    ):
        group: list[Any] = []
        for i, record in enumerate(records[first : first + _GROUP], first):
            try:
                group.append(record.load())
            except Exception as error:  # whatever a parser raises concerns this entry only
                group.append(None)
                reasons[i] = reason_of(error)
        structures += group
        part = slice(first, first + len(group))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # remarks stand in the table
                values[part], spread[part] = predictor.predict(
                    group, return_uncertainty=True, progress=False
                )
        except InputError as error:  # none of this group; others may be better
            refused = dict.fromkeys(range(len(group)), str(error))
        else:
            refused = dict(predictor.report.refused) if predictor.report else {}
            told = dict(predictor.report.remarks) if predictor.report else {}
            remarks |= {first + k: remark for k, remark in told.items()}
        reasons = {first + k: reason for k, reason in refused.items()} | reasons
    names = [record.name for record in records]
    found = PredictedFiles(names, values, spread, dict(sorted(reasons.items())), remarks)
    return structures, found


def _table(predictors: "Sequence[PropertyPredictor]", found: Sequence[PredictedFiles]) -> str:
    """A row for each crystal; columns of each property, whose names say which where there are
    several.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    titles = ["name"]
    for predictor in predictors:
        of = f" of {predictor.target}" if len(predictors) > 1 else ""
        titles += [f"{predictor.target} ({predictor.unit})"]
        titles += [f"uncertainty{of} ({predictor.unit})", f"remark{of}"]
    table.writerow(titles)
    for i, name in enumerate(found[0].names):
        row = [name]
        for one in found:
            row += [
                "" if math.isnan(x) else f"{x:.8g}" for x in (one.values[i], one.uncertainty[i])
            ]
            row.append(one.reasons.get(i, one.remarks.get(i, "")))
        table.writerow(row)
    return text.getvalue()


def _write_annotated(
    predictors: "Sequence[PropertyPredictor]",
    structures: list[Any],
    found: Sequence[PredictedFiles],
    output: Path,
) -> None:
    from ase_crysdiff.data.writing import write

    annotated = []
    for i, structure in enumerate(structures):
        if structure is None:
            continue
        for predictor, one in zip(predictors, found, strict=True):
            value, spread, remark = one.values[i], one.uncertainty[i], one.remarks.get(i, "")
            structure = predictor.annotated(structure, value, spread, remark)
        annotated.append(structure)
    write(annotated, {}, output)


def _known(records: "list[Record]", column: str | None) -> "NDArray[Any] | None":
    import numpy as np

    if column is None:
        return None
    known = np.array([record.values.get(column, math.nan) for record in records])
    if np.isnan(known).all():
        raise InputError(f"No table among the files has numbers in a column {column!r}.")
    return known


def _compared(
    predictor: "PropertyPredictor", known: "NDArray[Any]", values: "NDArray[Any]", output: Path
) -> dict[str, Any]:
    """Mean absolute error of all crystals that have both numbers, beside that of always saying the
    median of the known ones; draws them beside the output.
    """
    import numpy as np

    from ase_crysdiff.predictors.measuring import summary
    from ase_crysdiff.report.parity import parity_plot
    from ase_crysdiff.storage import write_text

    both = np.isfinite(known) & np.isfinite(values)
    plot = output.with_suffix(".svg")
    pairs = known[both].tolist(), values[both].tolist()
    write_text(plot, parity_plot(*pairs, predictor.target, predictor.unit))
    missing = int((np.isfinite(known) & ~np.isfinite(values)).sum())
    errors = np.abs(known[both] - values[both])
    trivial = np.abs(known[both] - np.median(known[both])) if both.any() else errors
    return {
        "MAE": summary(errors, predictor.unit),
        "error of the median": summary(trivial, predictor.unit),
        "known, not predicted": missing,
        "parity plot": plot.name,
    }
