"""Shares of structures that are physical."""

from collections.abc import Sequence

from pymatgen.core import Structure

from ase_crysdiff.constants import ACCEPT_FRACTION, GATE_DISTANCE, GATE_VOLUME
from ase_crysdiff.crystal.soundness import keeps_distances
from ase_crysdiff.metrics.base import MetricResult, rate
from ase_crysdiff.metrics.examined import examined


def structural_validity(structures: Sequence[Structure | None]) -> MetricResult:
    """Share of structures with no distance below 0.5 Å and at least 0.1 Å³.

    Stricter than the published rule in two points: an atom's own images count, and numbers that are
    not finite fail.
    Source: Xie et al. 2022 (CDVAE).
    """
    failures = examined(structures).failures
    settings = {"shortest_distance": GATE_DISTANCE, "volume": GATE_VOLUME}
    return rate([i not in failures for i in range(len(structures))], failures, settings)


def distance_validity(
    structures: Sequence[Structure | None], fraction: float = ACCEPT_FRACTION
) -> MetricResult:
    """Share of structures in which every distance exceeds a fraction of the sum of the covalent
    radii.

    Radii: Cordero et al. 2008, from `ase.data`. Structures that fail the gate count as misses.
    """
    given = examined(structures)
    verdicts = [i in given.sound and keeps_distances(s, fraction) for i, s in enumerate(given)]
    return rate(verdicts, given.failures, {"fraction": fraction, "radii": "Cordero 2008"})
