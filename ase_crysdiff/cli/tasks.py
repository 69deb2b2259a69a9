"""`crysdiff tasks`: the tables of properties that have a name, as a list or as a file."""

import argparse
import json
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "names", nargs="*", help="tasks of one property, whose rows -o writes as one table"
    )
    parser.add_argument("--json", action="store_true", help="print the same as JSON, with sources")
    parser.add_argument(
        "-o", "--output", type=Path, help="table (.csv, .csv.gz) for crysdiff finetune --data"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints every task, or those that are named: its unit, what is learned of it, its rows, how it
    is split, and whether its table is in the folder that `CRYSDIFF_DATA` names. Or writes a table.
    """
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.tasks import task, tasks

    known = [task(name) for name in options.names] or tasks()
    if options.output is not None:
        from ase_crysdiff.tasks.writing import write_tasks

        if not options.names:
            raise InputError("Name the tasks whose rows are to be written.")
        count = write_tasks(known, options.output)
        print(f"{options.output}: {count:,} rows, {known[0].name} in {known[0].unit}")
        return 0
    if options.json:
        content = [{**one.as_plain(), "is_here": one.is_here()} for one in known]
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return 0
    rows = [("task", "learned in", "rows", "splits", "here", "")]
    for one in known:
        here = "yes" if one.is_here() else "no"
        rows.append((one.name, one.learned_unit, f"{one.rows:,}", one.splits, here, one.about))
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    return 0
