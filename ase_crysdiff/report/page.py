"""The report of an evaluation: one file that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from pymatgen.core import Structure

from ase_crysdiff.metrics.hull import Footing, footing
from ase_crysdiff.pictures.crystals import drawing
from ase_crysdiff.pictures.scene import element_colours
from ase_crysdiff.report import tables
from ase_crysdiff.report.charts import compared_columns, compared_rows, energy_histogram
from ase_crysdiff.report.elements import periodic_table
from ase_crysdiff.report.labels import LABELS, value_of
from ase_crysdiff.report.rendering import environment, source

#: Sources that are named, and lost crystals that are listed.
_SOURCES_SHOWN, _LOST_SHOWN = 4, 500
#: Charts that compare with the reference: key, title, name of the classes, way of drawing.
_COMPARED = (
    ("num_atoms", "Atoms in the cell", "atoms", compared_columns),
    ("space_groups", "Space groups", "space group", compared_rows),
    ("crystal_systems", "Crystal systems", "crystal system", compared_rows),
)


def html_report(results: Mapping[str, Any]) -> str:
    """The page of an evaluation; the same bytes for the same results.

    Args:
        results: What `results.json` of an evaluation holds.
    """
    template = environment().get_template("page.html.j2")
    return template.render(
        results=results,
        style=source("style.css"),
        title=f"Evaluation of {results['requested']:,} crystals",
        headline=_headline(results["metrics"]),
        sources=_named(results["sources"]),
        scores=tables.scores(results["metrics"]),
        verdicts=tables.VERDICTS,
        charts=_charts(results),
        elements=Markup(periodic_table(results["elements"])),
        best=[_card(crystal) for crystal in results["best"]],
        doubt=any(map(_is_doubtful, results["best"])),
        spread=any(crystal.get("energy_uncertainty") is not None for crystal in results["best"]),
        reasons=tables.reasons(results["lost"]),
        lost_shown=_LOST_SHOWN,
        settings={
            "Settings": results["settings"],
            "Hull": results["hull"],
            "Reference": results["reference"],
            "Versions": results["versions"],
        },
    )


def _headline(metrics: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The figures at the top: value and name."""
    first = [name for name in ("sun", "msun") if name in metrics] or [
        "structural_validity",
        "compositional_validity",
    ]
    return [
        (value_of(metrics.get(f"{name}_relaxed", metrics[name]), "%"), LABELS[name][0])
        for name in [*first, "uniqueness", "novelty"]
        if name in metrics
    ]


def _named(sources: Sequence[str]) -> str:
    more = " and more" if len(sources) > _SOURCES_SHOWN else ""
    return ", ".join(sources[:_SOURCES_SHOWN]) + more


def _charts(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cards with a chart: title, chart, legend, caption, and numbers as a table if there are
    any.
    """
    cards: list[dict[str, Any]] = []
    energies = [e for e in results["energies_above_hull"] if e is not None]
    if energies:
        legend = {
            "stable": "stable, ≤ 0",
            "metastable": "metastable, ≤ 0.1",
            "unstable": "above",
        }
        cards.append(
            {
                "title": "Energy above hull",
                "chart": Markup(energy_histogram(energies)),
                "legend": legend,
                "caption": f"{len(energies):,} crystals with an energy, on the "
                f"{results['hull']['name']}",
            }
        )
    for key, title, label, draw in _COMPARED:
        both = results["distributions"].get(key)
        if both and both["ours"]:
            ours, theirs = both["ours"], both["reference"]
            legend = (
                {"ours": "these crystals", "reference": results["reference"]["name"]}
                if theirs
                else {}
            )
            cards.append(
                {
                    "title": title,
                    "chart": Markup(draw(ours, theirs, label)),
                    "legend": legend,
                    "caption": both["note"],
                    "label": label,
                    "ours": ours,
                    "theirs": theirs,
                }
            )
    return cards


def _card(crystal: Mapping[str, Any]) -> dict[str, Any]:
    """One of the best crystals, with its drawing."""
    structure = Structure.from_dict(crystal["structure"])
    return {
        "energy_uncertainty": None,
        "is_outside": False,
        **crystal,
        "atoms": len(structure),
        "drawing": Markup(drawing(structure, f"Drawing of {crystal['formula']}")),
        "colours": element_colours(structure),
        "tags": [name for name in ("novel", "unique") if crystal[name]],
    }


def _is_doubtful(crystal: Mapping[str, Any]) -> bool:
    """Whether a crystal lies so far below a hull without its formula that the hull is to blame."""
    height = crystal["energy_above_hull"] or 0.0
    return not crystal["is_listed"] and footing(crystal["is_listed"], height) is Footing.NONE
