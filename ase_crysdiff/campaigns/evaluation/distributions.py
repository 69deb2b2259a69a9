"""What the crystals are like, beside the reference."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.breakdown import GROUPS_SHOWN
from ase_crysdiff.campaigns.evaluation.scored import Scored
from ase_crysdiff.metrics.fingerprints import Fingerprints
from ase_crysdiff.metrics.reference import Known, Reference
from ase_crysdiff.metrics.space_groups import CRYSTAL_SYSTEMS, crystal_system, group_symbol
from ase_crysdiff.report.labels import OTHERS


def distributions(scored: Scored) -> dict[str, Any]:
    """Counts by number of atoms, space group and crystal system, ours and those of the
    reference.
    """
    sound = [s for i, s in enumerate(scored.final) if s is not None and scored.lost(i) is None]
    atoms = Counter(len(s) for s in sound)
    groups = Counter(int(g) for g in scored.verdict("space_groups") if g)
    known_atoms, known_groups, note = _known_distributions(scored.reference)
    most = max([*atoms, *(n for n in known_atoms if n <= max(atoms, default=0))], default=0)
    shown = [
        g for g, _ in sorted(groups.items(), key=lambda item: (-item[1], item[0]))[:GROUPS_SHOWN]
    ]
    return {
        "num_atoms": {
            "ours": {str(n): atoms[n] for n in range(1, most + 1)},
            "reference": {str(n): c for n, c in sorted(known_atoms.items()) if n <= most},
            "note": "Sound crystals."
            + (
                " The reference has larger cells, too."
                if max(known_atoms, default=0) > most
                else ""
            ),
        },
        "space_groups": {
            "ours": _some(groups, shown),
            "reference": _some(known_groups, shown),
            "note": f"The most frequent {len(shown)} of {len(groups)}, within 0.1 Å. {note}",
        },
        "crystal_systems": {
            "ours": _systems(groups),
            "reference": _systems(known_groups),
            "note": note,
        },
    }


def _some(counts: Mapping[int, int], shown: Sequence[int]) -> dict[str, int]:
    """Counts of some space groups by symbol, and of all others together."""
    if not counts:
        return {}
    return {
        **{group_symbol(g): counts.get(g, 0) for g in shown},
        OTHERS: sum(c for g, c in counts.items() if g not in shown),
    }


def _known_distributions(
    reference: Known | None,
) -> tuple[dict[int, int], dict[int, int], str]:
    """Atom counts and space groups of the known crystals, as far as they are to be had, and what to
    say of them.
    """
    if isinstance(reference, Reference):
        groups = Counter(s.group for s in reference.symmetries if s.group is not None)
        return (
            dict(Counter(map(int, reference.num_atoms))),
            dict(groups),
            f"Reference: {groups.total():,} crystals.",
        )
    if isinstance(reference, Fingerprints):
        note = f"Reference: {len(reference):,} crystals."
        return (
            _counts(reference.metadata["num_atoms"]),
            _counts(reference.metadata["space_groups"]),
            note,
        )
    return {}, {}, ""


def _counts(stored: Mapping[str, int]) -> dict[int, int]:
    return {int(key): int(count) for key, count in stored.items()}


def _systems(groups: Mapping[int, int]) -> dict[str, int]:
    counts = dict.fromkeys(CRYSTAL_SYSTEMS, 0)
    for group, count in groups.items():
        counts[crystal_system(group)] += count
    return counts if groups else {}


def elements(structures: Sequence[Structure | None]) -> dict[str, int]:
    """How many crystals hold each element."""
    counts = Counter(
        e.symbol for s in structures if s is not None for e in {site.specie for site in s}
    )
    return dict(sorted(counts.items()))
