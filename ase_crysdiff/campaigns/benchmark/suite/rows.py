"""What a benchmark has found, as named rows: a value, its interval and how many it is about."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: What of a benchmark's own file holds numbers worth a row.
_FIGURES = (
    *("results", "curve", "by_free_coordinates", "by_prototype", "sound", "rows"),
    # of filled hosts
    *("reconstructed", "rmse", "exact_count", "group_kept", "largest_host_displacement"),
)
#: What stands beside numbers and is none.
_ASIDE = ("settings", "notes", "unusable", "failures", "missing", "errors", "title")


@dataclass(frozen=True)
class Row:
    """A figure.

    Args:
        value: The figure; None where nothing could be averaged.
        interval: 95 % interval; None where there is none.
        n: How many targets, draws or crystals it is about; None where it does not say.
    """

    value: float | int | None
    interval: tuple[float, float] | None = None
    n: int | None = None

    def as_plain(self) -> dict[str, Any]:
        """As JSON can hold it; what is not there is left out."""
        return {k: v for k, v in asdict(self).items() if v is not None or k == "value"}

    @staticmethod
    def of(plain: Mapping[str, Any]) -> "Row":
        """From what `as_plain` gives."""
        interval = plain.get("interval")
        pair = None if interval is None else (interval[0], interval[1])
        return Row(plain["value"], pair, plain.get("n"))


def rows_of(content: Mapping[str, Any]) -> dict[str, Row]:
    """The figures of a benchmark's own file, by the path to them, such as "curve/20/match_rate".

    Args:
        content: Of the file that any `crysdiff benchmark` writes.
    """
    found: dict[str, Row] = {}
    for name in _FIGURES:
        found |= dict(_leaves(content.get(name), name, _count(content)))
    for form in content.get("forms", ()):  # of the panel: samples that are found
        name = f"forms/{form['form']} {form['space_group']}"
        found[name] = Row(form["samples_that_are_found"])
    seconds = content.get("seconds")
    if isinstance(seconds, Mapping):  # others give the whole time, which is nobody's figure
        found |= dict(_leaves(seconds.get("per_sample"), "seconds per sample", None))
    return found


def steps_of(content: Mapping[str, Any]) -> int | None:
    """Network evaluations of a draw, by a benchmark's own file; the most, where draws differ."""
    found = content.get("evaluations_per_sample", content.get("evaluations_per_draw"))
    return max(found, default=None) if isinstance(found, list) else found


def _count(content: Mapping[str, Any]) -> int | None:
    """How many targets or draws a benchmark was about."""
    targets = content.get("targets")
    if isinstance(targets, Mapping) and "count" in targets:
        return int(targets["count"])
    for name in ("draws", "num_samples"):
        if content.get(name) is not None:
            return int(content[name]) * max(1, int(content.get("formulas") or 1))
    return None


def _leaves(node: Any, path: str, n: int | None) -> Iterator[tuple[str, Row]]:
    """Numbers below a node, with their paths."""
    if _is_number(node):
        yield path, Row(node, n=n)
    if not isinstance(node, Mapping):
        return
    if "value" in node:
        yield path, Row(node["value"], _pair(node.get("interval")), n)
        return
    if "rows" in node:  # of potentials side by side
        for row in node["rows"]:
            unit = "" if row["unit"] == "1" else f", {row['unit']}"
            for potential, value in row["values"].items():
                yield f"{path}/{row['name']}{unit}/{potential}", Row(value)
        return
    if isinstance(node.get("targets"), int):
        n = node["targets"]
    first = next((k for k, v in node.items() if _is_number(v) and k != "targets"), None)
    for key, child in node.items():
        if key == first and "interval" in node:
            yield f"{path}/{key}", Row(child, _pair(node["interval"]), n)
        elif key not in (*_ASIDE, "interval"):
            yield from _leaves(child, f"{path}/{key}", n)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pair(interval: Any) -> tuple[float, float] | None:
    """An interval that has two ends."""
    if interval is None or any(end is None for end in interval):
        return None
    return float(interval[0]), float(interval[1])
