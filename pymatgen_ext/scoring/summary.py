"""Third stage: scores as plain values, for tables, JSON and the report."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pymatgen.core import Structure
from pymatgen.symmetry.groups import sg_symbol_from_int_number

from ase_crysdiff.metrics.base import MetricResult
from ase_crysdiff.metrics.fingerprints import Fingerprints
from ase_crysdiff.metrics.formation import Energies
from ase_crysdiff.metrics.reference import Known, Reference
from pymatgen_ext.evaluation import Relaxed
from pymatgen_ext.relaxation import RelaxResult
from pymatgen_ext.report.charts import OTHERS
from pymatgen_ext.scoring.entries import Entry

FORMAT = "crysdiff-evaluation-1"
#: Crystals that are drawn.
MOST_DRAWN = 12
_LIBRARIES = ("ase-crysdiff", "torch", "numpy", "scipy", "ase", "pymatgen", "spglib", "smact", "chgnet")
_SYSTEMS = {
    "triclinic": 1, "monoclinic": 3, "orthorhombic": 16, "tetragonal": 75, "trigonal": 143, "hexagonal": 168, "cubic": 195,
}  # fmt: skip
#: Bars of a chart of space groups.
_GROUPS_SHOWN = 12


@dataclass(frozen=True)
class Scored:
    """All that the stages have found.

    Args:
        entries: One for each requested crystal.
        relaxations: By index; empty if nothing was relaxed.
        relaxed: The verdict on them; None if nothing was relaxed.
        energies: Of the relaxed structures; None without a potential.
        results: Of `score`.
        reference: Known crystals.
    """

    entries: Sequence[Entry]
    relaxations: Mapping[int, RelaxResult]
    relaxed: Relaxed | None
    energies: Energies | None
    results: Mapping[str, MetricResult]
    reference: Known

    @property
    def final(self) -> Sequence[Structure | None]:
        """The structures that the verdict is about: relaxed ones if there are any."""
        return [e.structure for e in self.entries] if self.relaxed is None else self.relaxed.structures

    def verdict(self, name: str) -> Sequence[Any]:
        """Per-structure values of a metric, of the relaxed structures where it has both; None where there are none."""
        result = self.results.get(f"{name}_relaxed", self.results.get(name))
        return [None] * len(self.entries) if result is None else result.per_structure

    @property
    def heights(self) -> Sequence[float | None]:
        """Energies above the hull that are to be believed, eV/atom."""
        return self.verdict("energy_above_hull")

    def lost(self, index: int) -> tuple[str, str] | None:
        """At which stage and why a crystal was lost; None if it was not."""
        entry = self.entries[index]
        if entry.stage is not None:
            return entry.stage, str(entry.reason)
        if self.relaxed is not None and index in self.relaxed.rejected:
            reason = self.relaxed.rejected[index]
            return ("gate after relaxing" if reason.startswith("after relaxation") else "relax"), reason
        if self.energies is not None and index in self.energies.failures:
            return "energy", self.energies.failures[index]
        return None


def summarise(scored: Scored, settings: Mapping[str, Any], hull: Mapping[str, Any], notes: Sequence[str]) -> dict[str, Any]:
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
        "metrics": {name: _plain(result) for name, result in scored.results.items()},
        "energies_above_hull": [_finite(e) for e in scored.heights],
        "distributions": _distributions(scored),
        "elements": _elements(scored.final),
        "best": [_described(scored, i) for i in _best(scored)],
        "lost": [
            {"index": i, "name": scored.entries[i].name, "stage": stage, "reason": reason} for i, (stage, reason) in lost
        ],
        "settings": dict(settings),
        "hull": dict(hull),
        "reference": {
            "name": scored.reference.name, "crystals": len(scored.reference), "sha256": scored.reference.digest,
        },
        "versions": versions(),
    }  # fmt: skip


def table(scored: Scored) -> list[dict[str, Any]]:
    """A row for each requested crystal, in their order."""
    rows = []
    groups = scored.verdict("space_groups")
    columns = {
        "valid": "structural_validity", "distances_valid": "distance_validity", "neutral": "compositional_validity",
        "unique": "uniqueness", "novel": "novelty", "stable": "stability", "metastable": "metastability", "sun": "sun",
        "msun": "msun", "energy_above_hull": "energy_above_hull", "displacement": "rmsd_to_relaxed",
    }  # fmt: skip
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
        if relaxation is not None:
            row |= {"steps": relaxation.steps, "fmax": _cell(relaxation.fmax), "converged": relaxation.converged}
        rows.append(row)
    return rows


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _funnel(scored: Scored) -> list[dict[str, Any]]:
    count = len(scored.entries)
    lost = [scored.lost(i) for i in range(count)]
    stages = [found[0] if found else None for found in lost]
    steps = [
        ("Requested", "everything that the sources were meant to hold", count),
        ("Read", "files that parse", sum(s != "read" for s in stages)),
        ("Sound", "ordered, finite, no atoms on each other, 3–200 Å³ per atom", sum(s not in ("read", "gate") for s in stages)),
    ]
    alive = [i for i, s in enumerate(stages) if s is None]
    if scored.relaxed is not None:
        kept = sum(s not in ("read", "gate", "relax") for s in stages)
        believed = sum(s not in ("read", "gate", "relax", "gate after relaxing") for s in stages)
        steps += [
            ("Relaxed", "forces below the limit", kept),
            ("Sound after relaxing", "atoms and volume still physical", believed),
            ("With an energy", "every element is known to the potential and the hull", len(alive)),
        ]
    unique = [i for i in alive if scored.verdict("uniqueness")[i] is True]
    novel = [i for i in unique if scored.verdict("novelty")[i] is True]
    steps += [
        ("Unique", "one of each set of equal crystals", len(unique)),
        ("Novel", f"unlike every crystal of {scored.reference.name}", len(novel)),
    ]
    for name, label, meaning in (
        ("msun", "Metastable, too", "at most 0.1 eV/atom above the hull, more than one element (M.S.U.N.)"),
        ("sun", "Stable, too", "on or below the hull (S.U.N.)"),
    ):
        if name in scored.results:
            steps.append((label, meaning, sum(v is True for v in scored.results[name].per_structure)))
    return [{"stage": stage, "meaning": meaning, "count": n} for stage, meaning, n in steps]


def _distributions(scored: Scored) -> dict[str, Any]:
    sound = [s for i, s in enumerate(scored.final) if s is not None and scored.lost(i) is None]
    atoms = Counter(len(s) for s in sound)
    groups = Counter(int(g) for g in scored.verdict("space_groups") if g)
    known_atoms, known_groups, note = _known_distributions(scored.reference)
    most = max([*atoms, *(n for n in known_atoms if n <= max(atoms, default=0))], default=0)
    shown = [g for g, _ in sorted(groups.items(), key=lambda item: (-item[1], item[0]))[:_GROUPS_SHOWN]]
    return {
        "num_atoms": {
            "ours": {str(n): atoms[n] for n in range(1, most + 1)},
            "reference": {str(n): c for n, c in sorted(known_atoms.items()) if n <= most},
            "note": "Sound crystals." + (" The reference has larger cells, too." if max(known_atoms, default=0) > most else ""),
        },
        "space_groups": {
            "ours": _some(groups, shown),
            "reference": _some(known_groups, shown),
            "note": f"The most frequent {len(shown)} of {len(groups)}, within 0.1 Å. {note}",
        },
        "crystal_systems": {"ours": _systems(groups), "reference": _systems(known_groups), "note": note},
    }


def _some(counts: Mapping[int, int], shown: Sequence[int]) -> dict[str, int]:
    """Counts of some space groups by symbol, and of all others together."""
    if not counts:
        return {}
    return {**{group_symbol(g): counts.get(g, 0) for g in shown}, OTHERS: sum(c for g, c in counts.items() if g not in shown)}


def group_symbol(number: int | None) -> str:
    """The short symbol of a space group; nothing for None."""
    if not number:
        return ""
    symbol = str(sg_symbol_from_int_number(number))
    return re.sub(r"^([A-Z])1(.+)1$", r"\1\2", symbol) if 3 <= number <= 15 else symbol


def _known_distributions(reference: Known) -> tuple[dict[int, int], dict[int, int], str]:
    """Atom counts and space groups of the known crystals, as far as they are to be had."""
    if isinstance(reference, Reference):
        groups = Counter(s.group for s in reference.symmetries if s.group is not None)
        return dict(Counter(map(int, reference.num_atoms))), dict(groups), f"Reference: {groups.total():,} crystals."
    if isinstance(reference, Fingerprints):
        note = f"Reference: {len(reference):,} crystals."
        return _counts(reference.metadata["num_atoms"]), _counts(reference.metadata["space_groups"]), note
    return {}, {}, ""


def _counts(stored: Mapping[str, int]) -> dict[int, int]:
    return {int(key): int(count) for key, count in stored.items()}


def _systems(groups: Mapping[int, int]) -> dict[str, int]:
    counts = dict.fromkeys(_SYSTEMS, 0)
    for group, count in groups.items():
        counts[next(name for name, first in reversed(_SYSTEMS.items()) if group >= first)] += count
    return counts if groups else {}


def _elements(structures: Sequence[Structure | None]) -> dict[str, int]:
    counts = Counter(e.symbol for s in structures if s is not None for e in {site.specie for site in s})
    return dict(sorted(counts.items()))


def _best(scored: Scored) -> list[int]:
    novel, heights = scored.verdict("novelty"), scored.heights
    alive = [i for i, structure in enumerate(scored.final) if structure is not None and scored.lost(i) is None]
    chosen = [i for i in alive if scored.verdict("uniqueness")[i] is True]
    order = sorted(chosen, key=lambda i: (novel[i] is not True, math.inf if heights[i] is None else heights[i], i))
    return order[:MOST_DRAWN]


def _described(scored: Scored, i: int) -> dict[str, Any]:
    structure, group = scored.final[i], scored.verdict("space_groups")[i]
    assert structure is not None
    return {
        "index": i,
        "name": scored.entries[i].name,
        "formula": structure.composition.reduced_formula,
        "space_group": group_symbol(group) or "no space group",
        "energy_above_hull": _finite(scored.heights[i]),
        "is_listed": bool(scored.energies is not None and scored.energies.is_listed[i]),
        "novel": scored.verdict("novelty")[i] is True,
        "unique": True,
        "structure": structure.as_dict(),
    }


def _plain(result: MetricResult) -> dict[str, Any]:
    return {
        "value": _finite(result.value),
        "interval": [_finite(x) for x in result.interval],
        "failures": len(result.failures),
        "settings": _jsonable(result.settings),
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, float):
        return _finite(value)
    return value if isinstance(value, str | int | bool) or value is None else str(value)


def _finite(value: float | None) -> float | None:
    """JSON knows no NaN; digits beyond the eighth are noise."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.8g}")


def _cell(value: Any) -> Any:
    """What a table shows: empty where there is nothing."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return round(float(value), 6) if isinstance(value, float) else value
