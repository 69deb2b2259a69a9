"""Do generated crystals as a whole look like known ones?"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure
from scipy.stats import wasserstein_distance

from ase_crysdiff.metrics.base import MetricResult, bootstrap
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.validity import gate


def density_distance(structures: Sequence[Structure | None], reference: Reference) -> MetricResult:
    """Wasserstein-1 distance of the densities of sound structures to the reference, g/cm³.

    Source: Xie et al. 2022 (CDVAE), property statistics.
    """
    return _wasserstein(structures, lambda s: float(s.density), reference.densities, reference)


def num_elements_distance(structures: Sequence[Structure | None], reference: Reference) -> MetricResult:
    """Wasserstein-1 distance of the numbers of distinct elements of sound structures to the reference."""
    return _wasserstein(structures, lambda s: float(len({site.specie.Z for site in s})), reference.num_elements, reference)


def num_atoms_distance(structures: Sequence[Structure | None], reference: Reference) -> MetricResult:
    """Total variation distance of the numbers of atoms of sound structures to the reference: 0 equal, 1 disjoint."""
    values, failures = _values(structures, lambda s: float(len(s)))
    sound = [v for v in values if v is not None]

    def distance(sample: NDArray[np.float64]) -> float:
        return total_variation(sample.tolist(), reference.num_atoms)

    return _result(distance, sound, values, failures, reference)


def total_variation(a: Sequence[float], b: Sequence[float]) -> float:
    """Half the summed difference of two histograms, each normalised to 1."""
    p, q = Counter(a), Counter(b)
    return 0.5 * sum(abs(p[x] / len(a) - q[x] / len(b)) for x in {*p, *q})


def _wasserstein(
    structures: Sequence[Structure | None], measure: Any, known: Sequence[float], reference: Reference
) -> MetricResult:
    values, failures = _values(structures, measure)
    sound = [v for v in values if v is not None]
    return _result(lambda sample: float(wasserstein_distance(sample, known)), sound, values, failures, reference)


def _values(structures: Sequence[Structure | None], measure: Any) -> tuple[list[float | None], dict[int, str]]:
    failures = {i: r for i, r in ((i, gate(s)) for i, s in enumerate(structures)) if r is not None}
    return [None if i in failures else measure(s) for i, s in enumerate(structures)], failures


def _result(
    distance: Any, sound: list[float], values: list[float | None], failures: dict[int, str], reference: Reference
) -> MetricResult:
    settings = {"reference": reference.name, "crystals": len(reference), "sha256": reference.digest[:12]}
    if not sound:
        return MetricResult(math.nan, (math.nan, math.nan), tuple(values), failures, settings)
    return MetricResult(distance(np.array(sound)), bootstrap(distance, sound), tuple(values), failures, settings)
