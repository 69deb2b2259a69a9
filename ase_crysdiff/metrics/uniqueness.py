"""How many different crystals are there?"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import combinations

import numpy as np
from pymatgen.core import Structure
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ase_crysdiff.metrics.base import MetricResult, rate
from ase_crysdiff.metrics.matching import SETTINGS, formula_key, match, reduced
from ase_crysdiff.metrics.validity import gate


def uniqueness(structures: Sequence[Structure | None]) -> MetricResult:
    """Number of different crystals divided by the number requested.

    Being the same is neither symmetric nor transitive for the matcher; here it is made symmetric, and classes are connected
    components, so that the order of the input changes nothing. The first structure of a class represents it.
    """
    failures = {i: r for i, r in ((i, gate(s)) for i, s in enumerate(structures)) if r is not None}
    groups: dict[Hashable, list[int]] = defaultdict(list)
    cells: dict[int, Structure] = {}
    for i, structure in enumerate(structures):
        if i not in failures and structure is not None:
            groups[formula_key(structure)].append(i)
            cells[i] = structure
    edges = []
    for members in groups.values():
        if len(members) > 1:
            small = {i: reduced(cells[i]) for i in members}
            edges += [(i, j) for i, j in combinations(members, 2) if match(small[i], small[j])]
    labels = _components(len(structures), edges)
    first: dict[int, int] = {}
    for i in cells:
        first.setdefault(labels[i], i)
    representatives = set(first.values())
    return rate([i in representatives for i in range(len(structures))], failures, SETTINGS)


def _components(count: int, edges: list[tuple[int, int]]) -> list[int]:
    rows, columns = np.array(edges, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(count, count))
    labels: list[int] = connected_components(graph, directed=False)[1].tolist()
    return labels
