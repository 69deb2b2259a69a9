"""`crysdiff predict`: a property of the crystals in files, as a table or written into them."""

import argparse
import csv
import io
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ase_crysdiff.data.readers import Record
    from pymatgen_ext.predictors import StructurePredictor

#: Crystals that are held in memory at a time.
_GROUP = 4096


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("name", help="name of a predictor (crysdiff list), or the folder of one")
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        help="CIF, POSCAR, extended XYZ, ASE .db, CSV with a cif column, folders of those",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="table.csv; or .extxyz, .json, .db with the crystals",
    )
    parser.add_argument(
        "--compare",
        metavar="COLUMN",
        help="column of the input tables with known values: prints the error, too",
    )
    parser.add_argument("--weights", help="folder with other weights of that name")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Predicts, writes and prints a summary; 1 if no crystal could be used."""
    from ase_crysdiff.data.readers import read_records
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.storage import ensure_writable, write_text
    from pymatgen_ext.predictors import StructurePredictor

    endings = (".csv", ".extxyz", ".json", ".db")
    if options.output.suffix not in endings:
        raise InputError(f"The output ends in one of {', '.join(endings)}, got {options.output}.")
    ensure_writable(options.output.parent)
    predictor = StructurePredictor(options.name, options.weights, options.device)
    records = [record for file in options.files for record in read_records(file)]
    known = _known(records, options.compare)
    structures, values, spread, reasons = _predict(predictor, records)
    if options.output.suffix == ".csv":
        write_text(options.output, _table(predictor, records, values, spread, reasons))
    else:
        _write_annotated(predictor, structures, values, spread, options.output)
    for i, reason in reasons.items():
        print(f"no value: {records[i].name}: {reason}", file=sys.stderr)
    print(
        f"{len(records) - len(reasons)} of {len(records)} crystals: {predictor.target} in "
        f"{predictor.unit}, {options.output}"
    )
    if known is not None:
        print(json.dumps(_compared(predictor, known, values, options.output), indent=1))
    return 0 if len(reasons) < len(records) else 1


def _predict(
    predictor: "StructurePredictor", records: "list[Record]"
) -> "tuple[list[Any], NDArray[Any], NDArray[Any], dict[int, str]]":
    """Structures, values, uncertainties, and reason by position of what has none."""
    import numpy as np
    from tqdm import tqdm

    from ase_crysdiff.data.packing import reason_of
    from ase_crysdiff.errors import InputError

    values, spread = np.full(len(records), np.nan), np.full(len(records), np.nan)
    structures: list[Any] = []
    reasons: dict[int, str] = {}
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
            values[part], spread[part] = predictor.predict(
                group, return_uncertainty=True, progress=False
            )
        except InputError as error:  # none of this group; others may be better
            refused = dict.fromkeys(range(len(group)), str(error))
        else:
            refused = dict(predictor.report.refused) if predictor.report else {}
        reasons = {first + k: reason for k, reason in refused.items()} | reasons
    return structures, values, spread, dict(sorted(reasons.items()))


def _table(
    predictor: "StructurePredictor",
    records: "list[Record]",
    values: "NDArray[Any]",
    spread: "NDArray[Any]",
    reasons: dict[int, str],
) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    column = f"{predictor.target} ({predictor.unit})"
    table.writerow(["name", column, f"uncertainty ({predictor.unit})", "remark"])
    for i, record in enumerate(records):
        numbers = ("" if math.isnan(x) else f"{x:.8g}" for x in (values[i], spread[i]))
        table.writerow([record.name, *numbers, reasons.get(i, "")])
    return text.getvalue()


def _write_annotated(
    predictor: "StructurePredictor",
    structures: list[Any],
    values: "NDArray[Any]",
    spread: "NDArray[Any]",
    output: Path,
) -> None:
    from ase_crysdiff.data.writing import write

    readable = [i for i, structure in enumerate(structures) if structure is not None]
    write([predictor.annotated(structures[i], values[i], spread[i]) for i in readable], {}, output)


def _known(records: "list[Record]", column: str | None) -> "NDArray[Any] | None":
    import numpy as np

    from ase_crysdiff.errors import InputError

    if column is None:
        return None
    known = np.array([record.values.get(column, math.nan) for record in records])
    if np.isnan(known).all():
        raise InputError(f"No table among the files has numbers in a column {column!r}.")
    return known


def _compared(
    predictor: "StructurePredictor", known: "NDArray[Any]", values: "NDArray[Any]", output: Path
) -> dict[str, Any]:
    """Mean absolute error of all crystals that have both numbers; draws them beside the output."""
    import numpy as np

    from ase_crysdiff.predictors.finetuning import summary
    from ase_crysdiff.report.parity import parity_plot
    from ase_crysdiff.storage import write_text

    both = np.isfinite(known) & np.isfinite(values)
    plot = output.with_suffix(".svg")
    write_text(plot, parity_plot(known[both], values[both], predictor.target, predictor.unit))
    missing = int((np.isfinite(known) & ~np.isfinite(values)).sum())
    errors = np.abs(known[both] - values[both])
    return {
        "MAE": summary(errors, predictor.unit),
        "known, not predicted": missing,
        "parity plot": plot.name,
    }
