"""Second stage: relaxation in fixed groups, each of which is kept whole or computed again.

What a potential makes of a crystal may depend on its neighbours in a batch in the last digits, and
a relaxation amplifies them. A resumed run therefore repeats whole groups, and gives the same
numbers as one that was never interrupted.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from pymatgen.core import Structure

from ase_crysdiff.crystal.batching import runs_of_size
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Failure, run_isolated
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.relaxation.engine import MAX_ATOMS
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.settings import FMAX, STEPS
from ase_crysdiff.relaxation.structures import iter_relax

#: A group holds at most so many crystals and atoms: large enough to be computed together, small
#: enough to be lost.
_GROUP_CRYSTALS, _GROUP_ATOMS = 32, 384
#: Seconds for one group.
_GROUP_LIMIT = 3600.0


@dataclass(frozen=True)
class Options:
    """How crystals are relaxed.

    Args:
        fmax: Largest force that may remain, eV/Å.
        steps: At most so many for each crystal.
        relax_cell: Whether the cell moves.
        optimizer: "lbfgs", "fire", or "lbfgs-ase" with the steps of ASE's L-BFGS.
    """

    fmax: float = FMAX
    steps: int = STEPS
    relax_cell: bool = True
    optimizer: str = "lbfgs"

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def as_plain(index: int, result: RelaxResult) -> dict[str, Any]:
    """A result as plain values."""
    return {"index": index, **result.as_dict()}


def from_plain(values: Mapping[str, Any]) -> tuple[int, RelaxResult]:
    """What `as_plain` described."""
    fields = {name: value for name, value in values.items() if name != "index"}
    return int(values["index"]), RelaxResult.from_dict(fields)


def groups(structures: Mapping[int, Structure]) -> list[list[int]]:
    """Indices in fixed groups of similar size; they depend on the structures only."""
    order = sorted(structures, key=lambda i: (len(structures[i]), i))
    runs = runs_of_size([len(structures[i]) for i in order], _GROUP_ATOMS, _GROUP_CRYSTALS)
    return [[order[k] for k in run] for run in runs]


def relax_groups(
    chosen: Mapping[int, Sequence[int]],
    structures: Mapping[int, Structure],
    potential: PotentialLike,
    options: Options,
    *,
    workers: int,
) -> Iterator[tuple[int, list[RelaxResult]]]:
    """Relaxes groups; gives (number, results in the order of the group) as each is done.

    Args:
        chosen: Indices of structures by number of the group.
        structures: By index.
        potential: A name, a potential or an ASE calculator.
        options: How.
        workers: Processes, for a potential given by name; a group whose process dies is relaxed one
            crystal at a time. 0 works in this one, as does any potential that is not given by name.
    """
    numbers = list(chosen)
    tasks = [[(potential, options, [(i, structures[i]) for i in chosen[n]])] for n in numbers]
    count = workers if isinstance(potential, str) else 0
    for k, _, result in run_isolated(relax_group, tasks, workers=count, timeout=_GROUP_LIMIT):
        if isinstance(result, Failure):
            result = list(_singly(chosen[numbers[k]], structures, potential, options, count))
        yield numbers[k], result


def _singly(
    indices: Sequence[int],
    structures: Mapping[int, Structure],
    potential: PotentialLike,
    options: Options,
    workers: int,
) -> Iterator[RelaxResult]:
    tasks = [(potential, options, [(i, structures[i])]) for i in indices]
    for _, _, result in run_isolated(relax_group, [tasks], workers=workers, timeout=_GROUP_LIMIT):
        yield _lost(result.reason) if isinstance(result, Failure) else result[0]


_Task = tuple[PotentialLike, Options, list[tuple[int, Structure]]]


@own_state()
def relax_group(task: _Task) -> list[RelaxResult]:
    """The results of one group; to be called in another process."""
    potential, options, members = task
    threads = torch.get_num_threads()
    if isinstance(potential, str):
        torch.set_num_threads(1)  # as many processes, or the same last digits without them
    try:
        found = dict(
            iter_relax(
                [s for _, s in members],
                _loaded(potential),
                **options.as_dict(),
                max_atoms=MAX_ATOMS,
            )
        )
    finally:
        torch.set_num_threads(threads)
    return [found[k] for k in range(len(members))]


def _lost(reason: str) -> RelaxResult:
    return RelaxResult(None, False, 0, math.nan, math.nan, math.nan, False, reason)


def _loaded(potential: PotentialLike) -> Potential:
    return _by_name(potential) if isinstance(potential, str) else as_potential(potential)


@lru_cache(maxsize=2)
def _by_name(name: str) -> Potential:
    return as_potential(name)
