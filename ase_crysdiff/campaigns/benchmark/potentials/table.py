"""The table of figures, potentials side by side, and the plots beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase_crysdiff.campaigns.benchmark.potentials.base import Parity, Row, Section
from ase_crysdiff.report.parity import parity_plots
from ase_crysdiff.storage import write_text

#: Points of one potential in one plot.
_POINTS = 1000
_WIDTH = 12


@dataclass
class Outcome:
    """What a section has found.

    Args:
        section: The section.
        rows: Figures by potential.
        parities: Points by potential.
        failures: Reasons by item, by potential.
        missing: Why a potential has no figures at all, by potential.
    """

    section: Section
    rows: dict[str, list[Row]] = field(default_factory=dict)
    parities: dict[str, list[Parity]] = field(default_factory=dict)
    failures: dict[str, Mapping[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def figures(self) -> list[tuple[str, str]]:
        """Names and units of the rows, in their order."""
        return list(dict.fromkeys((r.name, r.unit) for rows in self.rows.values() for r in rows))

    def value(self, potential: str, figure: tuple[str, str]) -> float | int | None:
        """The figure of a potential; None where it has none."""
        rows = self.rows.get(potential, [])
        return next((row.value for row in rows if (row.name, row.unit) == figure), None)

    def as_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "title": self.section.title,
            "settings": dict(self.section.settings),
            "rows": [
                {"name": name, "unit": unit}
                | {"values": {p: self.value(p, (name, unit)) for p in self.rows}}
                for name, unit in self.figures
            ],
            "notes": {p: [row.note for row in rows if row.note] for p, rows in self.rows.items()},
            "unusable": dict(self.section.unusable),
            "failures": {p: dict(reasons) for p, reasons in self.failures.items()},
            "missing": self.missing,
        }


def table(outcomes: Sequence[Outcome], potentials: Sequence[str], reference: str) -> str:
    """For people: a row for each figure, a column for each potential.

    Args:
        outcomes: Of the sections.
        potentials: Names of the columns.
        reference: The potential that the others are compared with where a section does so.
    """
    names = [f"  {name}, {unit}" for o in outcomes for name, unit in o.figures]
    wide = max(map(len, names), default=0) + 2
    width = max(_WIDTH, *(len(p) + 2 for p in potentials))
    lines = [" " * wide + "".join(f"{p:>{width}}" for p in potentials)]
    for outcome in outcomes:
        against = f", against {reference}" if outcome.section.compares else ""
        lines.append(f"{outcome.section.title}{against}")
        for name, unit in outcome.figures:
            shown = [_shown(outcome.value(p, (name, unit))) for p in potentials]
            label = f"  {name}" if unit == "1" else f"  {name}, {unit}"
            lines.append(f"{label:{wide}}" + "".join(f"{text:>{width}}" for text in shown))
        lines += list(_remarks(outcome))
    return "\n".join(lines)


def _shown(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _remarks(outcome: Outcome) -> list[str]:
    """What must be said of a section below its rows."""
    notes = [
        f"  {potential}: {row.note}"
        for potential, rows in outcome.rows.items()
        for row in rows
        if row.note
    ]
    lost = [f"  {potential}: {reason}" for potential, reason in outcome.missing.items()]
    failed = {f"{potential} failed on": why for potential, why in outcome.failures.items()}
    for what, reasons in {"left out:": outcome.section.unusable, **failed}.items():
        if reasons:
            key, reason = next(iter(reasons.items()))
            more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            lost.append(f"  {what} {key} ({reason}){more}")
    return notes + lost


def plots(outcomes: Sequence[Outcome], output: Path) -> list[Path]:
    """Parity plots as SVG files beside the JSON file, one for each quantity, with all potentials.

    Args:
        outcomes: Of the sections.
        output: The JSON file.
    """
    written = []
    for outcome in outcomes:
        quantities = {q.name: q for found in outcome.parities.values() for q in found}
        for name, quantity in quantities.items():
            series = {
                potential: (_thinned(one.known), _thinned(one.found))
                for potential, found in outcome.parities.items()
                for one in found
                if one.name == name and len(one.known)
            }
            if not series:
                continue
            label = f"{outcome.section.name}-{name}".replace(" ", "-")
            path = output.with_name(f"{output.stem}-{label}.svg")
            write_text(path, parity_plots(series, name, quantity.unit, quantity.source))
            written.append(path)
    return written


def _thinned(numbers: Sequence[float]) -> list[float]:
    """Numbers at even distances, so that a file stays small."""
    step = -(-len(numbers) // _POINTS)
    return list(numbers[::step]) if step else []
