"""The results of several metrics by name, as they are shown."""

import html
import math

from ase_crysdiff.metrics.base import MetricResult

_TITLES = ("metric", "value", "95 % interval", "structures", "failed")


class Scores(dict[str, MetricResult]):
    """A dictionary of results that prints as a table, a row for each metric; all numbers are in the
    results.
    """

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        return [
            (
                name,
                _number(result.value),
                ""
                if math.isnan(result.interval[0])
                else "{:.3g} to {:.3g}".format(*result.interval),
                str(len(result.per_structure) or ""),
                str(len(result.failures)),
            )
            for name, result in self.items()
        ]

    def __repr__(self) -> str:
        rows = [_TITLES, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(f"{c:{w}}" for c, w in zip(r, widths, strict=True)) for r in rows]
        return "\n".join(
            line.rstrip() for line in [lines[0], "-" * max(map(len, lines)), *lines[1:]]
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{title}</th>" for title in _TITLES)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        return f"<table><tr>{head}</tr>{body}</table>"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"
