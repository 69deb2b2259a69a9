"""Errors of systems on tasks, side by side with published ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ase_crysdiff.campaigns.benchmark.properties import published


def summarised(errors: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """Mean and standard deviation over the partitions, by task and system.

    Args:
        errors: Of each partition, by task and system.
    """
    return {
        task: {
            system: {
                "mean": float(f"{np.mean(values):.5g}"),
                "spread": float(f"{np.std(values):.3g}"),
                "each": [float(f"{value:.5g}") for value in values],
            }
            for system, values in systems.items()
        }
        for task, systems in errors.items()
    }


def wins(results: Mapping[str, Any], system: str) -> dict[str, str]:
    """On how many tasks a system errs less than each other one, as "9 of 11"."""
    found = {}
    others = {name for systems in results.values() for name in systems} - {system}
    for other in [*sorted(others), *published.SYSTEMS]:
        pairs = [
            (systems[system]["mean"], known)
            for task, systems in results.items()
            if system in systems and (known := _known(task, systems, other)) is not None
        ]
        if pairs:
            found[other] = f"{sum(own < known for own, known in pairs)} of {len(pairs)}"
    return found


def markdown(results: Mapping[str, Any], systems: Sequence[str], units: Mapping[str, str]) -> str:
    """A table for a page: a row for each task, mean ± spread, the best of each row in bold."""
    columns = [*systems, *published.SYSTEMS]
    lines = [
        "| task | error in | " + " | ".join(columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    for task, found in results.items():
        known = {name: _known(task, found, name) for name in columns}
        best = min(value for value in known.values() if value is not None)
        cells = []
        for name in columns:
            value = known[name]
            text = "" if value is None else f"{value:.3g}"
            text = f"**{text}**" if value == best else text
            if name in found:
                text += f" ± {found[name]['spread']:.2g}"
            cells.append(text)
        lines.append(f"| `{task}` | {units[task]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def text(results: Mapping[str, Any], systems: Sequence[str], units: Mapping[str, str]) -> str:
    """The same for a terminal."""
    columns = [*systems, *published.SYSTEMS]
    rows = [["task", "error in", *columns]]
    for task, found in results.items():
        cells = []
        for name in columns:
            value = _known(task, found, name)
            spread = f" ± {found[name]['spread']:.2g}" if name in found else ""
            cells.append("" if value is None else f"{value:.3g}{spread}")
        rows.append([task, units[task], *cells])
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _known(task: str, systems: Mapping[str, Any], name: str) -> float | None:
    if name in systems:
        return float(systems[name]["mean"])
    if name in published.SYSTEMS and task in published.PUBLISHED:
        return published.PUBLISHED[task][published.SYSTEMS.index(name)]
    return None
