"""How many of the known forms of a composition are found?"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.base import MetricResult, bootstrap, rate
from ase_crysdiff.metrics.matching import formula_key
from ase_crysdiff.metrics.uniqueness import classes

#: Distances of samples (rows) from the forms of their composition (columns); infinite where they do
#: not match.
Distances = NDArray[np.float64]


def forms_of_compositions(
    structures: Sequence[Structure],
    counts: Collection[int] = (2, 3, 4),
    *,
    workers: int = 0,
    timeout: float = 10.0,
) -> list[list[int]]:
    """Positions of the different forms of every composition that has so many; of equal structures
    the first.

    Args:
        structures: Known crystals.
        counts: Numbers of forms that are wanted.
        workers: Processes that compare.
        timeout: Seconds for one comparison.
    """
    found = classes(structures, workers=workers, timeout=timeout)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i in sorted(found.representatives()):
        groups[formula_key(structures[i])].append(i)
    return [members for members in groups.values() if len(members) in counts]


def nearest_forms(distances: Distances) -> set[int]:
    """The forms that are found when each sample counts for the one that it is nearest to, and for
    no other.

    The tolerances of structure prediction are wide: one sample often matches several forms.
    """
    matched = np.isfinite(distances).any(1)
    return set(distances[matched].argmin(1).tolist())


def assignable_forms(distances: Distances) -> int:
    """The most forms that can be given a sample each, no sample twice: an upper value of what was
    found.
    """
    given = maximum_bipartite_matching(
        csr_array(np.isfinite(distances).astype(np.int8)), perm_type="column"
    )
    return int((given >= 0).sum())


def polymorph_coverage(tables: Sequence[Distances]) -> dict[str, MetricResult]:
    """Share of compositions of which all forms are found, and mean share of the forms, in both ways
    of counting.

    Args:
        tables: For each composition the distances of its samples from its forms, shape (samples,
            forms).

    Returns:
        `full_coverage` and `mean_coverage` by the nearest form; `full_coverage_assigned` and
        `mean_coverage_assigned` by the largest assignment; `full_coverage (m forms)` for each
        number of forms. Per composition: whether all, or the share.

    Raises:
        InputError: If there are no compositions, or one has no form.

    Source: DAO reports the first rate for 2, 3 and 4 forms; its tolerances and its rule for samples
    that match several forms
        are not stated, and are chosen here.
    """
    if not tables or any(t.ndim != 2 or not t.shape[1] for t in tables):
        raise InputError(
            "Polymorph coverage needs, for at least one composition, a table of samples by forms."
        )
    forms = Counter(t.shape[1] for t in tables)
    settings = {"compositions": len(tables), "forms": dict(forms)}
    results = {}
    for name, numbers in (
        ("", [len(nearest_forms(t)) for t in tables]),
        ("_assigned", [assignable_forms(t) for t in tables]),
    ):
        shares = [n / t.shape[1] for n, t in zip(numbers, tables, strict=True)]
        results[f"full_coverage{name}"] = rate([math.isclose(s, 1) for s in shares], {}, settings)
        interval = bootstrap(lambda a: float(a.mean()), shares, 1000)
        results[f"mean_coverage{name}"] = MetricResult(
            float(np.mean(shares)), interval, tuple(shares), settings=settings
        )
    verdicts = results["full_coverage"].per_structure
    for m in sorted(forms):
        chosen = [v for v, t in zip(verdicts, tables, strict=True) if t.shape[1] == m]
        results[f"full_coverage ({m} forms)"] = rate(chosen, {}, {"compositions": len(chosen)})
    return results
