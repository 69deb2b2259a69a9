"""The report of an evaluation: one file that needs nothing else."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from pymatgen.core import Structure

from pymatgen_ext.report.charts import compared_columns, compared_rows, compared_table, energy_histogram
from pymatgen_ext.report.crystals import drawing, element_key
from pymatgen_ext.report.elements import periodic_table
from pymatgen_ext.report.svg import number, with_subscripts

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
#: These are about relaxed structures whatever they are called; the others end in `_relaxed` if they are.
_AFTER = frozenset({"energy_above_hull", "stability", "metastability", "sun", "msun", "rmsd_to_relaxed"})
_LOST_SHOWN = 500


def html_report(results: Mapping[str, Any]) -> str:
    """The page of an evaluation.

    Args:
        results: What `results.json` of an evaluation holds.
    """
    style = files("pymatgen_ext.report").joinpath("style.css").read_text()
    title = f"Evaluation of {results['requested']:,} crystals"
    sections = [
        _head(results, title),
        _funnel(results["funnel"], results["requested"]),
        _scores(results["metrics"]),
        _charts(results),
        _best(results["best"]),
        _lost(results["lost"]),
        _settings(results),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(s for s in sections if s)
        + "\n</main></body></html>\n"
    )


def _head(results: Mapping[str, Any], title: str) -> str:
    relaxed = results["settings"].get("potential")
    how = f"Relaxed and scored with {escape(str(relaxed))}." if relaxed else "Scored as they were given; nothing was relaxed."
    metrics = results["metrics"]
    headline = [name for name in ("sun", "msun") if name in metrics] or ["structural_validity", "compositional_validity"]
    figures = "".join(
        f"<div><b>{_value(metrics.get(f'{name}_relaxed', metrics[name]), '%')}</b><span>{escape(LABELS[name][0])}</span></div>"
        for name in [*headline, "uniqueness", "novelty"]
        if name in metrics
    )
    notes = "".join(f"<p class='note'>{escape(note)}</p>" for note in results["notes"])
    sources = ", ".join(results["sources"][:4]) + (" and more" if len(results["sources"]) > 4 else "")
    return (
        f"<header><h1>{escape(title)}</h1><p class='lead'>From <code>{escape(sources)}</code>. {how} Every share is of the "
        f"{results['requested']:,} crystals that were requested, lost ones included.</p>"
        f"<div class='figures'>{figures}</div>{notes}</header>"
    )


def _funnel(stages: Sequence[Mapping[str, Any]], requested: int) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(s['stage'])}<small>{escape(s['meaning'])}</small></th>"
        f"<td class='bar'><i style='width:{100 * s['count'] / requested:.1f}%'></i></td>"
        f"<td class='num'>{s['count']:,}</td><td class='num'>{100 * s['count'] / requested:.1f} %</td></tr>"
        for s in stages
    )
    return (
        "<section><h2>What is left at each stage</h2><table class='funnel'><thead class='hidden'><tr><th scope='col'>Stage</th>"
        "<th scope='col'>Share</th><th scope='col'>Crystals</th><th scope='col'>Percent</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></section>"
    )


def _scores(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    relaxed = {
        name if name in _AFTER else name.removesuffix("_relaxed"): result
        for name, result in metrics.items()
        if name in _AFTER or name.endswith("_relaxed")
    }
    given = {name: r for name, r in metrics.items() if name not in _AFTER and not name.endswith("_relaxed")}
    columns = {"as given": given} | ({"relaxed": relaxed} if relaxed else {})
    known = [name for name in LABELS if name in given or name in relaxed]
    rows = []
    for name in [*known, *sorted({*given, *relaxed} - set(known))]:
        label, unit = LABELS.get(name, (name.replace("_", " "), ""))
        cells = "".join(f"<td>{_with_interval(column.get(name), unit)}</td>" for column in columns.values())
        rows.append(f"<tr><th scope='row'>{escape(label)}</th>{cells}</tr>")
    head = "".join(f"<th scope='col'>{title}</th>" for title in columns)
    return (
        "<section><h2>Scores</h2><div class='wide'><table class='scores'><caption>95 % intervals in brackets: Wilson's for "
        f"shares, bootstrap for the others.</caption><thead><tr><th scope='col'>Metric</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _charts(results: Mapping[str, Any]) -> str:
    cards = []
    energies = [e for e in results["energies_above_hull"] if e is not None]
    if energies:
        legend = _legend(("stable", "stable, ≤ 0"), ("metastable", "metastable, ≤ 0.1"), ("unstable", "above"))
        caption = f"{len(energies):,} crystals with an energy, on the {escape(results['hull']['name'])}"
        cards.append(_card("Energy above hull", energy_histogram(energies) + legend, caption))
    for key, title, label, draw in (
        ("num_atoms", "Atoms in the cell", "atoms", compared_columns),
        ("space_groups", "Space groups", "space group", compared_rows),
        ("crystal_systems", "Crystal systems", "crystal system", compared_rows),
    ):
        both = results["distributions"].get(key)
        if both and both["ours"]:
            legend = _legend(("ours", "these crystals"), ("reference", results["reference"]["name"])) if both["reference"] else ""
            chart = draw(both["ours"], both["reference"], label)
            cards.append(_card(title, chart + legend + compared_table(both["ours"], both["reference"], label), both["note"]))
    table = "<div class='card full'><h3>Elements</h3>" + periodic_table(results["elements"])
    table += "<p class='caption'>Crystals that hold each element; darker is more.</p></div>"
    return f"<section><h2>What they are like</h2><div class='cards'>{''.join(cards)}{table}</div></section>"


def _best(best: Sequence[Mapping[str, Any]]) -> str:
    if not best:
        return ""
    cards = []
    for crystal in best:
        structure = Structure.from_dict(crystal["structure"])
        energy = crystal["energy_above_hull"]
        facts = [f"{escape(with_subscripts(crystal['space_group']))}, {len(structure)} atoms"]
        if energy is not None:
            bound = "" if crystal["is_listed"] else " (partial hull)"
            facts.insert(0, f"<b>{number(1000 * energy)}</b> meV/atom above hull{bound}")
        marks = [name for name in ("novel", "unique") if crystal[name]]
        tags = "".join(f"<span class='tag'>{m}</span>" for m in marks)
        cards.append(
            f"<figure class='card'>{drawing(structure, 'Drawing of ' + crystal['formula'])}"
            f"<figcaption><h3>{_formula(crystal['formula'])}</h3><p>{'<br>'.join(facts)}</p>"
            f"<p class='keys'>{element_key([site.specie.Z for site in structure])}</p>"
            f"<p class='caption'>{tags} {escape(crystal['name'])}</p></figcaption></figure>"
        )
    order = "lowest energy above hull first" if best[0]["energy_above_hull"] is not None else "in the order given"
    return (
        f"<section><h2>The best crystals</h2><p class='caption'>Sound and unique, novel ones before known ones; {order}.</p>"
        + (f"<div class='cards crystals'>{''.join(cards)}</div></section>")
    )


def _lost(lost: Sequence[Mapping[str, Any]]) -> str:
    if not lost:
        return "<section><h2>Lost crystals</h2><p>None.</p></section>"
    kinds = Counter((entry["stage"], re.sub(r"[\d.,e+-]*\d[\d.,e+-]*", "…", entry["reason"])[:90]) for entry in lost)
    summary = "".join(
        f"<tr><td>{escape(stage)}</td><td>{escape(kind)}</td><td class='num'>{count}</td></tr>"
        for (stage, kind), count in kinds.most_common(12)
    )
    rows = "".join(
        f"<tr><td class='num'>{e['index']}</td><th scope='row'>{escape(e['name'])}</th><td>{escape(e['stage'])}</td>"
        f"<td>{escape(e['reason'])}</td></tr>"
        for e in lost[:_LOST_SHOWN]
    )
    more = f"<p>{len(lost) - _LOST_SHOWN} more are in table.csv.</p>" if len(lost) > _LOST_SHOWN else ""
    return (
        f"<section><h2>Lost crystals</h2><div class='wide'><table><caption>{len(lost)} crystals, by reason</caption><thead><tr>"
        "<th scope='col'>Stage</th><th scope='col'>Reason</th><th scope='col'>Crystals</th></tr></thead>"
        f"<tbody>{summary}</tbody></table></div><details><summary>Every one of them</summary><div class='wide'><table>"
        "<thead><tr><th scope='col'>Number</th><th scope='col'>Name</th><th scope='col'>Stage</th><th scope='col'>Reason</th>"
        f"</tr></thead><tbody>{rows}</tbody></table></div>{more}</details></section>"
    )


def _settings(results: Mapping[str, Any]) -> str:
    parts = {
        "Settings": results["settings"],
        "Hull": results["hull"],
        "Reference": results["reference"],
        "Versions": results["versions"],
    }
    tables = "".join(
        f"<div><h3>{name}</h3><table class='small'><tbody>"
        + "".join(f"<tr><th scope='row'>{escape(k.replace('_', ' '))}</th><td>{_plain(v)}</td></tr>" for k, v in values.items())
        + "</tbody></table></div>"
        for name, values in parts.items()
        if values
    )
    rows = "".join(
        f"<tr><th scope='row'>{escape(name.replace('_', ' '))}</th><td>{_plain(result['settings'])}</td></tr>"
        for name, result in results["metrics"].items()
    )
    return (
        f"<section><h2>Settings and versions</h2><div class='columns'>{tables}</div><details><summary>Settings of every metric"
        f"</summary><div class='wide'><table class='small'><tbody>{rows}</tbody></table></div></details></section>"
    )


def _card(title: str, content: str, caption: str) -> str:
    return f"<div class='card'><h3>{escape(title)}</h3>{content}<p class='caption'>{caption}</p></div>"


def _legend(*entries: tuple[str, str]) -> str:
    return (
        "<p class='legend'>" + "".join(f"<span><i class='{kind}'></i>{escape(label)}</span>" for kind, label in entries) + "</p>"
    )


def _value(result: Mapping[str, Any], unit: str) -> str:
    value = result["value"]
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if unit == "%" else f"{number(value)} {unit}".strip()


def _with_interval(result: Mapping[str, Any] | None, unit: str) -> str:
    if result is None:
        return ""
    low, high = result["interval"]
    if result["value"] is None or low is None or high is None:
        return _value(result, unit)
    bounds = f"{100 * low:.1f}–{100 * high:.1f}" if unit == "%" else f"{number(low)} to {number(high)}"
    return f"{_value(result, unit)} <small>[{bounds}]</small>"


def _formula(formula: str) -> str:
    return re.sub(r"(\d+(?:\.\d+)?)", r"<sub>\1</sub>", escape(formula))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return escape("; ".join(f"{k.replace('_', ' ')} {v}" for k, v in value.items())[:400])
    return escape(value if isinstance(value, str) else json.dumps(value))
