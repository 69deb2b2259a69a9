"""How many different crystals are there?"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ase_crysdiff.isolation import TIMEOUT, Failure, Workers, map_isolated
from ase_crysdiff.metrics.base import MetricResult, rate
from ase_crysdiff.metrics.examined import examined
from ase_crysdiff.metrics.matching import Relation, match, settings

#: Pairs of a block of so many structures by as many go to a process together, each structure once.
BLOCK = 40

Pair = tuple[int, int]


@dataclass(frozen=True)
class Classes:
    """Which structures are the same crystal.

    Being the same is neither symmetric nor transitive for the matcher; here it is made symmetric,
    and classes are connected components, so that the order of the input changes nothing.

    Args:
        labels: A number per structure, equal inside a class; None for one that was not compared.
        failures: Reason by position, for those.
        settings: Tolerances and relation, and how many pairs could not be compared.
    """

    labels: tuple[int | None, ...]
    failures: Mapping[int, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def representatives(self, energies: Sequence[float] | None = None) -> set[int]:
        """One structure of each class: that of lowest energy, the first among equals and where
        there is no energy.

        Args:
            energies: Per atom, one for each structure; NaN for an unknown one, which comes last.
        """
        best: dict[int, tuple[float, int]] = {}
        for i, label in enumerate(self.labels):
            if label is not None:
                energy = (
                    math.inf if energies is None or math.isnan(energies[i]) else float(energies[i])
                )
                best[label] = min(best.get(label, (math.inf, i)), (energy, i))
        return {i for _, i in best.values()}


def uniqueness(
    structures: Sequence[Structure | None],
    energies: Sequence[float] | None = None,
    *,
    workers: Workers = 0,
) -> MetricResult:
    """Number of different crystals divided by the number requested; true for the representative of
    each class.

    Args:
        structures: One entry per requested structure; None for one that failed.
        energies: Per atom; the lowest of a class represents it, else the first.
        workers: Processes, which may hang or die at the cost of the pair in work; 0 works in this
            one, without a time limit.
    """
    return unique(classes(structures, workers=workers), energies)


def unique(same: Classes, energies: Sequence[float] | None = None) -> MetricResult:
    """Number of classes of equal crystals divided by the number of structures requested; true for
    the representative of each class.

    Args:
        same: The classes, from `classes`.
        energies: Per atom, one for each structure; the lowest of a class represents it, else the
            first.

    Raises:
        InputError: If there are no structures.
    """
    chosen = same.representatives(energies)
    return rate([i in chosen for i in range(len(same.labels))], same.failures, same.settings)


def classes(
    structures: Sequence[Structure | None],
    relation: Relation = "fit",
    *,
    workers: Workers = 0,
    timeout: float = TIMEOUT,
) -> Classes:
    """Connected components of structures that match each other.

    Cells are reduced once, only structures of one composition and equal primitive size are
    compared, and no two that are connected already.

    Args:
        structures: None and what fails the gate are not compared.
        relation: What the matcher accepts on.
        workers: Processes, which may hang or die at the cost of the pair in work; 0 works in this
            one, without a time limit.
        timeout: Seconds for one comparison.
    """
    given = examined(structures)
    failures = dict(given.failures)
    count = Counter(given.keys.values())
    shared = [i for i, key in given.keys.items() if count[key] > 1]
    cells: dict[int, Structure] = {}
    for i, cell in given.cells(shared, workers=workers, timeout=timeout).items():
        if isinstance(cell, Failure):
            failures[i] = f"matcher: {cell.reason}"
        else:
            cells[i] = cell
    buckets: dict[Hashable, list[int]] = defaultdict(list)
    for i, cell in cells.items():
        buckets[given.keys[i], len(cell)].append(i)
    if workers == 0:
        matched, lost = _one_by_one(cells, list(buckets.values()), relation)
    else:
        matched, lost = _in_blocks(cells, list(buckets.values()), relation, workers, timeout)
    components = _components(len(given), matched)
    # Each class is named by its smallest member.
    names = np.unique(components, return_index=True)[1]
    labels = tuple(
        int(names[components[i]]) if i in given.sound and i not in failures else None
        for i in range(len(given))
    )
    return Classes(
        labels, dict(sorted(failures.items())), {**settings(relation), "failed_pairs": lost}
    )


def _components(count: int, pairs: Sequence[Pair]) -> NDArray[np.int32]:
    """For each of `count` items the number of its connected component, from 0."""
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (first, second)), shape=(count, count))
    found: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return found


def _one_by_one(
    cells: Mapping[int, Structure], buckets: Sequence[Sequence[int]], relation: Relation
) -> tuple[list[Pair], int]:
    """Pairs that match, without those that other pairs connect already; and how many failed."""
    matched: list[Pair] = []
    lost = 0
    for members in buckets:
        inside: list[Pair] = []
        components = _components(len(members), inside)
        for a, b in combinations(range(len(members)), 2):
            if components[a] == components[b]:
                continue
            task = cells[members[a]], cells[members[b]], relation
            (same,) = map_isolated(matches, [task], workers=0)
            lost += isinstance(same, Failure)
            if same is True:
                inside.append((a, b))
                components = _components(len(members), inside)
        matched += [(members[a], members[b]) for a, b in inside]
    return matched, lost


def _in_blocks(
    cells: Mapping[int, Structure],
    buckets: Sequence[Sequence[int]],
    relation: Relation,
    workers: Workers,
    timeout: float,
) -> tuple[list[Pair], int]:
    """Pairs that match, compared in other processes; and how many failed.

    Every pair is compared, since a process knows nothing of what the others have connected. All
    buckets go to the same processes: to start one takes longer than to compare a bucket of two.
    """
    blocks = [block for members in buckets for block in _blocks(members)]
    tasks = [[(cells[i], cells[j], relation) for i, j in block] for block in blocks]
    verdicts = map_isolated(matches, tasks, workers=workers, timeout=timeout, chunked=True)
    pairs = [pair for block in blocks for pair in block]
    matched = [pair for pair, same in zip(pairs, verdicts, strict=True) if same is True]
    return matched, sum(isinstance(v, Failure) for v in verdicts)


def _blocks(members: Sequence[int]) -> Iterator[list[Pair]]:
    """All pairs, in groups that involve few structures each."""
    parts = [members[k : k + BLOCK] for k in range(0, len(members), BLOCK)]
    for p, part in enumerate(parts):
        yield list(combinations(part, 2))
        for other in parts[p + 1 :]:
            yield list(product(part, other))


def matches(task: tuple[Structure, Structure, Relation]) -> bool:
    """Whether two reduced structures are the same crystal; to be called in another process.

    Args:
        task: The two structures, and what the matcher accepts on.
    """
    return match(*task)
