"""The table of figures, potentials side by side, as text and as Markdown, and plots beside it."""

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
        lines.append(_heading(outcome, reference))
        for label, shown in _lines(outcome, potentials):
            lines.append(f"  {label:{wide - 2}}" + "".join(f"{text:>{width}}" for text in shown))
        lines += [f"  {remark}" for remark in _remarks(outcome)]
    return "\n".join(lines)


def markdown(outcomes: Sequence[Outcome], potentials: Sequence[str], reference: str) -> str:
    """The same for a page, in Markdown.

    Args:
        outcomes: Of the sections.
        potentials: Names of the columns.
        reference: The potential that the others are compared with where a section does so.
    """
    rows = [["", *potentials], ["---"] * (len(potentials) + 1)]
    remarks = []
    for outcome in outcomes:
        rows.append([f"**{_heading(outcome, reference)}**", *[""] * len(potentials)])
        for label, shown in _lines(outcome, potentials):
            rows.append([label.replace("|", "\\|"), *shown])
        remarks += [f"- {outcome.section.title}: {remark}" for remark in _remarks(outcome)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, *([""] if remarks else []), *remarks]) + "\n"


def _heading(outcome: Outcome, reference: str) -> str:
    against = f", against {reference}" if outcome.section.compares else ""
    return outcome.section.title + against


def _lines(outcome: Outcome, potentials: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each figure with its unit, and its values."""
    return [
        (
            figure[0] if figure[1] == "1" else f"{figure[0]}, {figure[1]}",
            [_shown(outcome.value(p, figure)) for p in potentials],
        )
        for figure in outcome.figures
    ]


def _shown(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _remarks(outcome: Outcome) -> list[str]:
    """What must be said of a section below its rows."""
    notes = [
        f"{potential}: {row.note}"
        for potential, rows in outcome.rows.items()
        for row in rows
        if row.note
    ]
    lost = [f"{potential}: {reason}" for potential, reason in outcome.missing.items()]
    failed = {f"{potential} failed on": why for potential, why in outcome.failures.items()}
    for what, reasons in {"left out:": outcome.section.unusable, **failed}.items():
        if reasons:
            key, reason = next(iter(reasons.items()))
            more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            lost.append(f"{what} {key} ({reason}){more}")
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
