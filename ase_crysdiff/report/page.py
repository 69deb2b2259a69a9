"""The report of an evaluation: one file that needs nothing else."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.report.charts import (
    compared_columns,
    compared_rows,
    compared_table,
    energy_histogram,
)
from ase_crysdiff.report.crystals import drawing, element_key
from ase_crysdiff.report.elements import periodic_table
from ase_crysdiff.report.svg import number, with_subscripts
from ase_crysdiff.report.tables import LABELS, breakdown, lost_crystals, scores, settings, value_of

#: eV/atom; real crystals that nobody has found yet are not this far below the known ones.
_DEEP = -0.2


def html_report(results: Mapping[str, Any]) -> str:
    """The page of an evaluation.

    Args:
        results: What `results.json` of an evaluation holds.
    """
    style = files("ase_crysdiff.report").joinpath("style.css").read_text()
    title = f"Evaluation of {results['requested']:,} crystals"
    sections = [
        _head(results, title),
        _funnel(results["funnel"], results["requested"]),
        scores(results["metrics"]),
        breakdown(results.get("breakdown", {})),
        _charts(results),
        _best(results["best"]),
        lost_crystals(results["lost"]),
        settings(results),
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
    how = (
        f"Relaxed and scored with {escape(str(relaxed))}."
        if relaxed
        else "Scored as they were given; nothing was relaxed."
    )
    metrics = results["metrics"]
    headline = [name for name in ("sun", "msun") if name in metrics] or [
        "structural_validity",
        "compositional_validity",
    ]
    figures = "".join(
        f"<div><b>{value_of(metrics.get(f'{name}_relaxed', metrics[name]), '%')}</b><span>{escape(LABELS[name][0])}</span></div>"
        for name in [*headline, "uniqueness", "novelty"]
        if name in metrics
    )
    notes = "".join(f"<p class='note'>{escape(note)}</p>" for note in results["notes"])
    sources = ", ".join(results["sources"][:4]) + (
        " and more" if len(results["sources"]) > 4 else ""
    )
    return (
        f"<header><h1>{escape(title)}</h1><p class='lead'>From <code>{escape(sources)}</code>. "
        f"{how} Every share is of the "
        f"{results['requested']:,} crystals that were requested, lost ones included.</p>"
        f"<div class='figures'>{figures}</div>{notes}</header>"
    )


def _funnel(stages: Sequence[Mapping[str, Any]], requested: int) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(s['stage'])}<small>{escape(s['meaning'])}</small></th>"
        f"<td class='bar'><i style='width:{100 * s['count'] / requested:.1f}%'></i></td>"
        f"<td class='num'>{s['count']:,}</td><td class='num'>{100 * s['count'] / requested:.1f} "
        "%</td></tr>"
        for s in stages
    )
    return (
        "<section><h2>What is left at each stage</h2><table class='funnel'><thead "
        "class='hidden'><tr><th scope='col'>Stage</th>"
        "<th scope='col'>Share</th><th scope='col'>Crystals</th><th "
        "scope='col'>Percent</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></section>"
    )


def _charts(results: Mapping[str, Any]) -> str:
    cards = []
    energies = [e for e in results["energies_above_hull"] if e is not None]
    if energies:
        legend = _legend(
            ("stable", "stable, ≤ 0"), ("metastable", "metastable, ≤ 0.1"), ("unstable", "above")
        )
        caption = (
            f"{len(energies):,} crystals with an energy, on the {escape(results['hull']['name'])}"
        )
        cards.append(_card("Energy above hull", energy_histogram(energies) + legend, caption))
    for key, title, label, draw in (
        ("num_atoms", "Atoms in the cell", "atoms", compared_columns),
        ("space_groups", "Space groups", "space group", compared_rows),
        ("crystal_systems", "Crystal systems", "crystal system", compared_rows),
    ):
        both = results["distributions"].get(key)
        if both and both["ours"]:
            legend = (
                _legend(("ours", "these crystals"), ("reference", results["reference"]["name"]))
                if both["reference"]
                else ""
            )
            chart = draw(both["ours"], both["reference"], label)
            cards.append(
                _card(
                    title,
                    chart + legend + compared_table(both["ours"], both["reference"], label),
                    both["note"],
                )
            )
    table = "<div class='card full'><h3>Elements</h3>" + periodic_table(results["elements"])
    table += "<p class='caption'>Crystals that hold each element; darker is more.</p></div>"
    return (
        "<section><h2>What they are like</h2><div "
        f"class='cards'>{''.join(cards)}{table}</div></section>"
    )


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
    deep = [c for c in best if not c["is_listed"] and (c["energy_above_hull"] or 0.0) < _DEEP]
    doubt = (
        " What lies this far below the hull mostly lacks competitors in the hull's table."
        if deep
        else ""
    )
    order = (
        "lowest energy above hull first"
        if best[0]["energy_above_hull"] is not None
        else "in the order given"
    )
    caption = f"Sound and unique, novel ones before known ones; {order}.{doubt}"
    return (
        f"<section><h2>The best crystals</h2><p class='caption'>{caption}</p>"
        f"<div class='cards crystals'>{''.join(cards)}</div></section>"
    )


def _card(title: str, content: str, caption: str) -> str:
    return (
        f"<div class='card'><h3>{escape(title)}</h3>{content}<p class='caption'>{caption}</p></div>"
    )


def _legend(*entries: tuple[str, str]) -> str:
    return (
        "<p class='legend'>"
        + "".join(f"<span><i class='{kind}'></i>{escape(label)}</span>" for kind, label in entries)
        + "</p>"
    )


def _formula(formula: str) -> str:
    return re.sub(r"(\d+(?:\.\d+)?)", r"<sub>\1</sub>", escape(formula))
