"""Third stage: scores as plain values, for tables, JSON and the report."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ase_crysdiff.campaigns.evaluation.breakdown import Judged, breakdown
from ase_crysdiff.campaigns.evaluation.distributions import distributions, elements
from ase_crysdiff.campaigns.evaluation.scored import Scored
from ase_crysdiff.campaigns.versions import versions
from ase_crysdiff.metrics.base import plain
from ase_crysdiff.metrics.hull import Footing, footing
from ase_crysdiff.metrics.space_groups import group_symbol
from ase_crysdiff.metrics.stability import TOLERANCE, is_unary

FORMAT = "crysdiff-evaluation-1"
#: Crystals that are drawn.
MOST_DRAWN = 12
#: eV/atom; on a hull of formation energies, elements alone give 0.
_NOTHING = 1e-9
_LIBRARIES = (
    "ase-crysdiff",
    "torch",
    "numpy",
    "scipy",
    "ase",
    "pymatgen",
    "spglib",
    "smact",
    "chgnet",
)


def summarise(
    scored: Scored, settings: Mapping[str, Any], hull: Mapping[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    """What `results.json` holds and the report shows.

    Args:
        scored: The findings.
        settings: What the run depends on.
        hull: Name, size and digest of the hull; empty without one.
        notes: What a reader must know.
    """
    count = len(scored.entries)
    lost = [(i, found) for i in range(count) if (found := scored.lost(i)) is not None]
    return {
        "format": FORMAT,
        "requested": count,
        "sources": list(settings["sources"]),
        "notes": list(notes),
        "funnel": _funnel(scored),
        "metrics": {name: result.as_plain() for name, result in scored.results.items()},
        "breakdown": breakdown(_judged(scored)),
        "energies_above_hull": [plain(e) for e in scored.heights],
        "distributions": distributions(scored),
        "elements": elements(scored.final),
        "best": [_report_entry(scored, i) for i in _best(scored)],
        "lost": [
            {"index": i, "name": scored.entries[i].name, "stage": stage, "reason": reason}
            for i, (stage, reason) in lost
        ],
        "settings": dict(settings),
        "hull": dict(hull),
        "reference": {}
        if scored.reference is None
        else {
            "name": scored.reference.name,
            "crystals": len(scored.reference),
            "sha256": scored.reference.digest,
        },
        "versions": versions(_LIBRARIES),
    }


def table(scored: Scored) -> list[dict[str, Any]]:
    """A row for each requested crystal, in their order."""
    rows = []
    groups = scored.verdict("space_groups")
    columns = {
        "valid": "structural_validity",
        "distances_valid": "distance_validity",
        "neutral": "compositional_validity",
        "unique": "uniqueness",
        "novel": "novelty",
        "stable": "stability",
        "metastable": "metastability",
        "sun": "sun",
        "msun": "msun",
        "energy_above_hull": "energy_above_hull",
        "displacement": "rmsd_to_relaxed",
    }
    verdicts = {column: scored.verdict(name) for column, name in columns.items()}
    for i, entry in enumerate(scored.entries):
        found, structure, relaxation = scored.lost(i), scored.final[i], scored.relaxations.get(i)
        row: dict[str, Any] = {
            "index": i,
            "name": entry.name,
            "lost_at": found[0] if found else "",
            "reason": found[1] if found else "",
            "formula": structure.composition.reduced_formula if structure else "",
            "atoms": len(structure) if structure else "",
            "space_group": group_symbol(groups[i]),
        }
        row |= {column: _cell(values[i]) for column, values in verdicts.items()}
        if scored.energies is not None:
            row["energy_per_atom"] = _cell(float(scored.energies.energy[i]))
            row["formation_energy"] = _cell(float(scored.energies.formation_energy[i]))
            row["on_listed_formula"] = bool(scored.energies.is_listed[i])
            objection = scored.energies.incomplete.get(i)
            row["hull_complete"] = objection is None
            row["hull_remark"] = objection or scored.energies.remarks.get(i, "")
            row["energy_uncertainty"] = _cell(float(scored.energies.uncertainty[i]))
        elif relaxation is not None:
            row["energy_per_atom"] = _cell(relaxation.energy_per_atom)
        if relaxation is not None:
            row |= {
                "steps": relaxation.steps,
                "fmax": _cell(relaxation.fmax),
                "converged": relaxation.converged,
            }
        rows.append(row)
    return rows


def _funnel(scored: Scored) -> list[dict[str, Any]]:
    count = len(scored.entries)
    lost = [scored.lost(i) for i in range(count)]
    stages = [found[0] if found else None for found in lost]
    steps = [
        ("Requested", "everything that the sources were meant to hold", count),
        ("Read", "files that parse", sum(s != "read" for s in stages)),
        (
            "Sound",
            "ordered, finite, no atoms on each other, 3–200 Å³ per atom",
            sum(s not in ("read", "gate") for s in stages),
        ),
    ]
    alive = [i for i, s in enumerate(stages) if s is None]
    if scored.relaxed is not None:
        kept = sum(s not in ("read", "gate", "relax") for s in stages)
        believed = sum(s not in ("read", "gate", "relax", "gate after relaxing") for s in stages)
        steps += [
            ("Relaxed", "forces below the limit", kept),
            ("Sound after relaxing", "atoms and volume still physical", believed),
        ]
    if scored.energies is not None:
        steps.append(
            ("With an energy", "every element is known to the potential and the hull", len(alive))
        )
    left = [i for i in alive if scored.verdict("uniqueness")[i] is True]
    steps.append(("Unique", "one of each set of equal crystals", len(left)))
    if scored.reference is not None:
        left = [i for i in left if scored.verdict("novelty")[i] is True]
        steps.append(("Novel", f"unlike every crystal of {scored.reference.name}", len(left)))
    if scored.energies is not None and scored.energies.incomplete:
        left = [i for i in left if i not in scored.energies.incomplete]
        meaning = "the hull holds their known rivals; of the others stability is not judged"
        steps.append(("On a complete hull", meaning, len(left)))
    for name, label, meaning in (
        (
            "msun",
            "Metastable, too",
            "at most 0.1 eV/atom above the hull, more than one element (M.S.U.N.)",
        ),
        ("sun", "Stable, too", "on or below the hull (S.U.N.)"),
    ):
        if name in scored.results:
            steps.append(
                (label, meaning, sum(v is True for v in scored.results[name].per_structure))
            )
    return [{"stage": stage, "meaning": meaning, "count": n} for stage, meaning, n in steps]


def _judged(scored: Scored) -> list[Judged]:
    """The crystals with an energy that is to be believed, on a hull that is complete."""
    if scored.energies is None:
        return []
    groups, final = scored.verdict("space_groups"), scored.final
    listed, rivals = scored.energies.is_listed, scored.energies.hull_energy < -_NOTHING
    names = {"metastable": "metastability", "stable": "stability", "msun": "msun", "sun": "sun"}
    verdicts = {short: scored.verdict(name) for short, name in names.items()}
    return [
        Judged(
            bool(listed[i]),
            bool(rivals[i]),
            len(structure),
            groups[i],
            {name: v[i] for name, v in verdicts.items()},
        )
        for i, structure in enumerate(final)
        if structure is not None and scored.lost(i) is None and i not in scored.energies.incomplete
    ]


def _best(scored: Scored) -> list[int]:
    """Those that are drawn: exact heights first, then lower bounds; what rests on nothing, what is
    outside of what the potential knows, and elements below the hull, last. Among those novel ones
    first, then the lowest.
    """
    novel, heights = scored.verdict("novelty"), scored.heights
    order = {grade: k for k, grade in enumerate(Footing)}

    def place(i: int) -> tuple[int, bool, float, int]:
        height = heights[i]
        if height is None or scored.energies is None:
            return len(order), novel[i] is not True, 0.0, i
        grade = footing(bool(scored.energies.is_listed[i]), height)
        if i in scored.energies.doubts or (height < -TOLERANCE and is_unary(scored.final[i])):
            grade = Footing.NONE
        return order[grade], novel[i] is not True, height, i

    chosen = [
        i
        for i, structure in enumerate(scored.final)
        if structure is not None
        and scored.lost(i) is None
        and scored.verdict("uniqueness")[i] is True
    ]
    return sorted(chosen, key=place)[:MOST_DRAWN]


def _report_entry(scored: Scored, i: int) -> dict[str, Any]:
    structure, group = scored.final[i], scored.verdict("space_groups")[i]
    assert structure is not None
    return {
        "index": i,
        "name": scored.entries[i].name,
        "formula": structure.composition.reduced_formula,
        "space_group": group_symbol(group) or "no space group",
        "energy_above_hull": plain(scored.heights[i]),
        "is_listed": bool(scored.energies is not None and scored.energies.is_listed[i]),
        "energy_uncertainty": None
        if scored.energies is None
        else plain(float(scored.energies.uncertainty[i])),
        "is_outside": scored.energies is not None and i in scored.energies.doubts,
        "novel": scored.verdict("novelty")[i] is True,
        "unique": True,
        "structure": structure.as_dict(),
    }


def _cell(value: Any) -> Any:
    """What a table shows: empty where there is nothing."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return round(float(value), 6) if isinstance(value, float) else value
