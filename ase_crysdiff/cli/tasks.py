"""`crysdiff tasks`: the tables of properties that have a name."""

import argparse
import json


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--json", action="store_true", help="print the same as JSON, with sources")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints every task: its unit, what is learned of it, its rows, how it is split, and whether
    its table is in the folder that `CRYSDIFF_DATA` names.
    """
    from ase_crysdiff.tasks import tasks

    known = tasks()
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
