"""The numbers of a comparison by kind of target: how much is free in it, and whether its prototype
is known.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ase_crysdiff.metrics.match_rate import Comparison
from ase_crysdiff.metrics.prototypes import PrototypeLibrary
from ase_crysdiff.metrics.sample_counts import Among, best_of, top
from ase_crysdiff.symmetry.scaffold import Scaffold

#: Least number of free coordinates of each row.
_LEAST_FREE = {"0": 0, "1-2": 1, "3-5": 3, "6-10": 6, "> 10": 11}
#: Of targets in which no space group is found.
_UNKNOWN = "symmetry unknown"
#: What a curve over the number of samples is about.
RANKED, DRAWN = "top-k of distinct ranked candidates", "best of k draws"
IN_LIBRARY, NOT_IN_LIBRARY = "prototype in the library", "prototype not in the library"


def curve_of(comparison: Comparison, ranked: bool) -> Mapping[int, Among]:
    """Numbers over the number of samples, for ranked candidates or for independent draws."""
    return top(comparison) if ranked else best_of(comparison)


def free_row(scaffold: Scaffold | None) -> str:
    """The row of a target by the number of its free coordinates."""
    if scaffold is None:
        return _UNKNOWN
    return next(n for n, least in reversed(_LEAST_FREE.items()) if scaffold.free >= least)


def library_row(scaffold: Scaffold | None, library: PrototypeLibrary) -> str:
    """The row of a target by whether its prototype is known."""
    if scaffold is None:
        return _UNKNOWN
    return IN_LIBRARY if scaffold.prototype in library else NOT_IN_LIBRARY


def breakdown(
    comparison: Comparison,
    scaffolds: Sequence[Scaffold | None],
    library: PrototypeLibrary | None,
    ranked: bool,
) -> dict[str, dict[str, Any]]:
    """The curve of each kind of targets.

    Args:
        comparison: Of all targets.
        scaffolds: Of the targets; None where no space group is found.
        library: Known prototypes; None leaves that table out.
        ranked: Whether the samples are ranked candidates.

    Returns:
        `by_free_coordinates` and `by_prototype`: by row the number of targets and their curve. Rows
        without targets are left out.
    """
    rows = {"by_free_coordinates": [free_row(s) for s in scaffolds]}
    orders = {"by_free_coordinates": [*_LEAST_FREE, _UNKNOWN]}
    if library is not None:
        rows["by_prototype"] = [library_row(s, library) for s in scaffolds]
        orders["by_prototype"] = [IN_LIBRARY, NOT_IN_LIBRARY, _UNKNOWN]
    return {
        table: {
            row: _numbers(comparison.of(members), ranked)
            for row in orders[table]
            if (members := [i for i, name in enumerate(names) if name == row])
        }
        for table, names in rows.items()
    }


def _numbers(comparison: Comparison, ranked: bool) -> dict[str, Any]:
    curve = curve_of(comparison, ranked)
    return {
        "targets": len(comparison.pairs),
        "curve": {n: among.as_plain() for n, among in curve.items()},
    }


def table(content: Mapping[str, Any]) -> list[str]:
    """The curves as lines for people: all targets, then each row.

    Args:
        content: Of a result: `curve`, `curve_of`, `targets` and the tables of `breakdown`.
    """
    rows: dict[str, Mapping[str, Any]] = {
        "all targets": {"targets": content["targets"]["count"], "curve": content["curve"]}
    }
    free = content.get("by_free_coordinates", {})
    rows |= {n if n == _UNKNOWN else f"{n} free coordinates": row for n, row in free.items()}
    rows |= {n: row for n, row in content.get("by_prototype", {}).items() if n != _UNKNOWN}
    counts = list(content["curve"])
    head = f"{content['curve_of'] + ' (%)':42} targets" + "".join(f"{f'k={n}':>8}" for n in counts)
    lines = [head + "    RMSE  volume error, of the first"]
    for name, row in rows.items():
        shares = "".join(f"{100 * row['curve'][n]['match_rate']['value']:8.1f}" for n in counts)
        first = row["curve"][counts[0]]
        rmse = "-" if first["rmse"] is None else f"{first['rmse']:.3f}"
        volume = "-" if first["volume_error"] is None else f"{100 * first['volume_error']:.1f} %"
        lines.append(f"  {name:40} {row['targets']:7}{shares}{rmse:>8}  {volume}")
    return lines
