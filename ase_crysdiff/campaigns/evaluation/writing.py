"""Last stage: the files of an evaluation."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ase_crysdiff.campaigns.evaluation.scored import Scored
from ase_crysdiff.campaigns.evaluation.summary import table
from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.data.folder import CrystalFolder
from ase_crysdiff.data.writing import write
from ase_crysdiff.storage import write_text


def write_evaluation(scored: Scored, results: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """Writes all files, the report last: where there is a report, there is everything.

    Args:
        scored: The findings.
        results: Their summary.
        output: The folder.

    Returns:
        The summary as `results.json` holds it.
    """
    from ase_crysdiff.report.page import html_report  # and with it matplotlib

    text = json.dumps(results, indent=1)
    write_text(output / "results.json", text + "\n")
    summary: dict[str, Any] = json.loads(text)
    rows = table(scored)
    columns = {name: None for row in rows for name in row}
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(output / "table.csv", lines.getvalue())
    if scored.relaxed is not None:
        final = [
            copy_of(
                s,
                {
                    "crysdiff_index": i,
                    "crysdiff_source": scored.entries[i].name,
                    **_numbers(rows[i]),
                },
            )
            for i, s in enumerate(scored.relaxed.structures)
            if s is not None
        ]
        write(final, {}, output / "relaxed")
        if final:
            write(final, {}, output / "relaxed" / CrystalFolder.XYZ)
    write_text(output / "report.html", html_report(summary))
    return summary


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the file of relaxed crystals says of each."""
    wanted = {
        "energy_per_atom": "crysdiff_energy_per_atom",
        "energy_above_hull": "crysdiff_energy_above_hull",
    }
    numbers = {new: row[old] for old, new in wanted.items() if row.get(old, "") != ""}
    return {**numbers, "crysdiff_remark": row["reason"]}
