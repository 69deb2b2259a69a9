"""How many different crystals are there?"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.crystal.soundness import gate_all
from ase_crysdiff.isolation import TIMEOUT, Failure, map_isolated
from ase_crysdiff.metrics.base import MetricResult, rate
from ase_crysdiff.metrics.matching import Relation, formula_key, match, reduced, settings

#: Pairs of a block of so many structures by as many go to a process together, each structure once.
_BLOCK = 40

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
    workers: int = 0,
) -> MetricResult:
    """Number of different crystals divided by the number requested; true for the representative of
    each class.

    Args:
        structures: One entry per requested structure; None for one that failed.
        energies: Per atom; the lowest of a class represents it, else the first.
        workers: See `classes`.
    """
    return unique(classes(structures, workers=workers), energies)


def unique(same: Classes, energies: Sequence[float] | None = None) -> MetricResult:
    """The same for classes that are known already."""
    chosen = same.representatives(energies)
    return rate([i in chosen for i in range(len(same.labels))], same.failures, same.settings)


def classes(
    structures: Sequence[Structure | None],
    relation: Relation = "fit",
    *,
    workers: int = 0,
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
    failures = gate_all(structures)
    sound = {i: s for i, s in enumerate(structures) if s is not None and i not in failures}
    keys = {i: formula_key(s) for i, s in sound.items()}
    count = Counter(keys.values())
    shared = [i for i in sound if count[keys[i]] > 1]
    cells: dict[int, Structure] = {}
    for i, cell in zip(
        shared,
        map_isolated(reduced, [sound[i] for i in shared], workers=workers, timeout=timeout),
        strict=True,
    ):
        if isinstance(cell, Failure):
            failures[i] = f"matcher: {cell.reason}"
        else:
            cells[i] = cell
    buckets: dict[Hashable, list[int]] = defaultdict(list)
    for i, cell in cells.items():
        buckets[keys[i], len(cell)].append(i)
    forest = _Forest()
    if workers == 0:
        lost = sum(_one_by_one(cells, members, relation, forest) for members in buckets.values())
    else:
        lost = _in_blocks(cells, list(buckets.values()), relation, forest, workers, timeout)
    labels = tuple(
        None if i in failures or i not in sound else forest.root(i) for i in range(len(structures))
    )
    return Classes(
        labels, dict(sorted(failures.items())), {**settings(relation), "failed_pairs": lost}
    )


class _Forest:
    """Disjoint sets, each named by its smallest member."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def root(self, i: int) -> int:
        while (parent := self._parent.get(i, i)) != i:
            self._parent[i] = self._parent.get(parent, parent)
            i = parent
        return i

    def join(self, i: int, j: int) -> None:
        a, b = sorted((self.root(i), self.root(j)))
        self._parent[b] = a


def _one_by_one(
    cells: Mapping[int, Structure], members: list[int], relation: Relation, forest: _Forest
) -> int:
    """Joins what matches, pair by pair, leaving out what is joined already; the number of pairs
    that failed.
    """
    lost = 0
    for i, j in combinations(members, 2):
        if forest.root(i) == forest.root(j):
            continue
        (same,) = map_isolated(matches, [(cells[i], cells[j], relation)], workers=0)
        lost += isinstance(same, Failure)
        if same is True:
            forest.join(i, j)
    return lost


def _in_blocks(
    cells: Mapping[int, Structure],
    buckets: list[list[int]],
    relation: Relation,
    forest: _Forest,
    workers: int,
    timeout: float,
) -> int:
    """The same in other processes, where nothing is known yet of what the others join.

    All buckets go to the same processes: to start one takes longer than to compare a bucket of two.
    """
    blocks = [block for members in buckets for block in _blocks(members)]
    tasks = [[(cells[i], cells[j], relation) for i, j in block] for block in blocks]
    verdicts = map_isolated(matches, tasks, workers=workers, timeout=timeout, chunked=True)
    pairs = [pair for block in blocks for pair in block]
    for (i, j), same in zip(pairs, verdicts, strict=True):
        if same is True:
            forest.join(i, j)
    return sum(isinstance(v, Failure) for v in verdicts)


def _blocks(members: list[int]) -> Iterator[list[Pair]]:
    """All pairs, in groups that involve few structures each."""
    parts = [members[k : k + _BLOCK] for k in range(0, len(members), _BLOCK)]
    for p, part in enumerate(parts):
        yield list(combinations(part, 2))
        for other in parts[p + 1 :]:
            yield list(product(part, other))


def matches(task: tuple[Structure, Structure, Relation]) -> bool:
    """`match` of one argument, to be called in another process."""
    return match(*task)
