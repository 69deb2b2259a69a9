"""The tables of the report: scores, shares by kind of crystal, what was lost and why, settings."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ase_crysdiff.metrics.base import wilson
from ase_crysdiff.report.svg import number, with_subscripts

#: Name to show, and how the value is written: a rate in percent, or a number with its unit.
LABELS: Mapping[str, tuple[str, str]] = {
    "structural_validity": ("Structurally valid", "%"),
    "distance_validity": ("No atoms too close (0.7 × covalent radii)", "%"),
    "compositional_validity": ("Charge-neutral composition (SMACT)", "%"),
    "uniqueness": ("Unique", "%"),
    "novelty": ("Novel", "%"),
    "stability": ("Stable", "%"),
    "metastability": ("Metastable or stable", "%"),
    "sun": ("S.U.N.: stable, unique, novel", "%"),
    "msun": ("M.S.U.N.: metastable, unique, novel", "%"),
    "symmetry_success": ("Symmetric beyond P1 and P-1", "%"),
    "energy_above_hull": ("Mean energy above hull", "eV/atom"),
    "rmsd_to_relaxed": ("Mean displacement by relaxing", "Å"),
    "density_distance": ("Distance of densities", "g/cm³"),
    "num_elements_distance": ("Distance of numbers of elements", ""),
    "num_atoms_distance": ("Distance of atom counts", ""),
    "num_primitive_atoms_distance": ("Distance of atom counts of primitive cells", ""),
    "space_groups": ("Distance of space groups", ""),
    "cov_recall": ("COV recall", "%"),
    "cov_precision": ("COV precision", "%"),
}
#: These are about relaxed structures whatever they are called; the others end in `_relaxed` if they
#: are.
_AFTER = frozenset(
    {"energy_above_hull", "stability", "metastability", "sun", "msun", "rmsd_to_relaxed"}
)
_LOST_SHOWN = 500


def scores(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Values and intervals of all metrics, as given and relaxed."""
    relaxed = {
        name if name in _AFTER else name.removesuffix("_relaxed"): result
        for name, result in metrics.items()
        if name in _AFTER or name.endswith("_relaxed")
    }
    given = {
        name: r
        for name, r in metrics.items()
        if name not in _AFTER and not name.endswith("_relaxed")
    }
    columns = {"as given": given} | ({"relaxed": relaxed} if relaxed else {})
    known = [name for name in LABELS if name in given or name in relaxed]
    rows = []
    for name in [*known, *sorted({*given, *relaxed} - set(known))]:
        label, unit = LABELS.get(name, (name.replace("_", " "), ""))
        cells = "".join(
            f"<td>{_with_interval(column.get(name), unit)}</td>" for column in columns.values()
        )
        rows.append(f"<tr><th scope='row'>{escape(label)}</th>{cells}</tr>")
    head = "".join(f"<th scope='col'>{title}</th>" for title in columns)
    return (
        "<section><h2>Scores</h2><div class='wide'><table class='scores'><caption>95 % intervals "
        "in brackets: Wilson's for "
        "shares, bootstrap for the others.</caption><thead><tr><th "
        f"scope='col'>Metric</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def breakdown(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Shares of good crystals by kind; nothing without energies."""
    if not groups:
        return ""
    verdicts = ("metastable", "stable", "msun", "sun")
    rows = []
    for title, members in groups.items():
        rows.append(
            "<tr class='group'><th scope='rowgroup' "
            f"colspan='{len(verdicts) + 2}'>{escape(title)}</th></tr>"
        )
        for row in members:
            cells = "".join(f"<td>{_share(row[v], row['crystals'])}</td>" for v in verdicts)
            label = f"<th scope='row'>{escape(with_subscripts(row['group']))}</th>"
            rows.append(f"<tr>{label}<td class='num'>{row['crystals']:,}</td>{cells}</tr>")
    return (
        "<section><h2>Which of them are good</h2><p class='caption'>Shares of the crystals with an "
        "energy in each row, with 95 % "
        "Wilson intervals.</p><div class='wide'><table class='kinds'><thead><tr><th "
        "scope='col'>Kind</th><th scope='col' "
        "class='num'>Crystals</th><th scope='col'>Metastable</th><th scope='col'>Stable</th><th "
        "scope='col'>M.S.U.N.</th>"
        f"<th scope='col'>S.U.N.</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _share(hits: int | None, total: int) -> str:
    if hits is None:
        return "–"
    low, high = wilson(hits, total)
    return _with_interval({"value": hits / total, "interval": [low, high]}, "%")


def lost_crystals(lost: Sequence[Mapping[str, Any]]) -> str:
    """What was lost, by reason and one by one."""
    if not lost:
        return "<section><h2>Lost crystals</h2><p>None.</p></section>"
    kinds = Counter(
        (entry["stage"], re.sub(r"[\d.,e+-]*\d[\d.,e+-]*", "…", entry["reason"])[:90])
        for entry in lost
    )
    summary = "".join(
        f"<tr><td>{escape(stage)}</td><td>{escape(kind)}</td><td class='num'>{count}</td></tr>"
        for (stage, kind), count in kinds.most_common(12)
    )
    rows = "".join(
        f"<tr><td class='num'>{e['index']}</td><th "
        f"scope='row'>{escape(e['name'])}</th><td>{escape(e['stage'])}</td>"
        f"<td>{escape(e['reason'])}</td></tr>"
        for e in lost[:_LOST_SHOWN]
    )
    more = (
        f"<p>{len(lost) - _LOST_SHOWN} more are in table.csv.</p>"
        if len(lost) > _LOST_SHOWN
        else ""
    )
    return (
        f"<section><h2>Lost crystals</h2><div class='wide'><table><caption>{len(lost)} crystals, "
        "by reason</caption><thead><tr>"
        "<th scope='col'>Stage</th><th scope='col'>Reason</th><th "
        "scope='col'>Crystals</th></tr></thead>"
        f"<tbody>{summary}</tbody></table></div><details><summary>Every one of them</summary><div "
        "class='wide'><table>"
        "<thead><tr><th scope='col'>Number</th><th scope='col'>Name</th><th "
        "scope='col'>Stage</th><th scope='col'>Reason</th>"
        f"</tr></thead><tbody>{rows}</tbody></table></div>{more}</details></section>"
    )


def settings(results: Mapping[str, Any]) -> str:
    """Settings of the run and of every metric, and versions."""
    parts = {
        "Settings": results["settings"],
        "Hull": results["hull"],
        "Reference": results["reference"],
        "Versions": results["versions"],
    }
    tables = "".join(
        f"<div><h3>{name}</h3><table class='small'><tbody>"
        + "".join(
            f"<tr><th scope='row'>{escape(k.replace('_', ' '))}</th><td>{_plain(v)}</td></tr>"
            for k, v in values.items()
        )
        + "</tbody></table></div>"
        for name, values in parts.items()
        if values
    )
    rows = "".join(
        f"<tr><th scope='row'>{escape(name.replace('_', ' '))}</th><td>{_plain(result['settings'])}</td></tr>"
        for name, result in results["metrics"].items()
    )
    return (
        "<section><h2>Settings and versions</h2><div "
        f"class='columns'>{tables}</div><details><summary>Settings of every metric"
        "</summary><div class='wide'><table "
        f"class='small'><tbody>{rows}</tbody></table></div></details></section>"
    )


def value_of(result: Mapping[str, Any], unit: str) -> str:
    """A value as people read it."""
    value = result["value"]
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if unit == "%" else f"{number(value)} {unit}".strip()


def _with_interval(result: Mapping[str, Any] | None, unit: str) -> str:
    if result is None:
        return ""
    low, high = result["interval"]
    if result["value"] is None or low is None or high is None:
        return value_of(result, unit)
    bounds = (
        f"{100 * low:.1f}–{100 * high:.1f}" if unit == "%" else f"{number(low)} to {number(high)}"
    )
    return f"{value_of(result, unit)} <small>[{bounds}]</small>"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return escape("; ".join(f"{k.replace('_', ' ')} {v}" for k, v in value.items())[:400])
    return escape(value if isinstance(value, str) else json.dumps(value))
