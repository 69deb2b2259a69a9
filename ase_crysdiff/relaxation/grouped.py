"""Relaxation in fixed groups, which may be computed anywhere, each of them whole.

What a potential makes of a crystal may depend on its neighbours in a batch in the last digits, and
a relaxation amplifies them. Groups depend on the crystals alone, so results depend neither on where
they are computed nor on what was done before.
"""

import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from ase import Atoms

from ase_crysdiff.crystal.batching import runs_of_size
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Failure, Workers, computes_here, run_isolated
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.relaxation.batched import iter_relax
from ase_crysdiff.relaxation.results import RelaxResult

#: A group holds at most so many crystals and atoms: large enough to be computed together, small
#: enough to be lost.
GROUP = 32, 384
#: Seconds for one group.
_GROUP_LIMIT = 3600.0

#: A potential as other processes get it: its name, or pickled.
_Sent = str | bytes
_Task = tuple[Any, Mapping[str, Any], Sequence[int], Sequence[Any]]


def groups(entries: Mapping[int, Any], largest: tuple[int, int] | None = None) -> list[list[int]]:
    """Indices in fixed groups of similar size; they depend on the entries only.

    Args:
        entries: Structures or atoms by index; what has no length is as good as empty.
        largest: Crystals and atoms of a group, at most; None for `GROUP`.
    """
    sizes = {i: len(entry) if hasattr(entry, "__len__") else 0 for i, entry in entries.items()}
    order = sorted(sizes, key=lambda i: (sizes[i], i))
    crystals, atoms = largest or GROUP
    runs = runs_of_size([sizes[i] for i in order], atoms, crystals)
    return [[order[k] for k in run] for run in runs]


def relax_groups(
    chosen: Mapping[int, Sequence[int]],
    entries: Mapping[int, Any],
    potential: PotentialLike,
    how: Mapping[str, Any],
    *,
    workers: Workers,
) -> Iterator[tuple[int, list[RelaxResult]]]:
    """Relaxes groups; gives (number, results in the order of the group) as each is done.

    Args:
        chosen: Indices by number of the group.
        entries: Structures or atoms, by index.
        potential: A name, a potential or an ASE calculator.
        how: Keywords of `iter_relax`.
        workers: Processes or an executor; a group whose process dies is relaxed one crystal at a
            time. 0 works in this one.

    Raises:
        InputError: If the potential is to be sent to other processes and cannot be pickled.
    """
    sent = potential
    if not computes_here(workers):
        sent = _sendable(potential)
        # Copies have no calculator, which is not asked and may be anything.
        entries = {i: e.copy() if isinstance(e, Atoms) else e for i, e in entries.items()}
    numbers = list(chosen)
    tasks = [[(sent, how, chosen[n], [entries[i] for i in chosen[n]])] for n in numbers]
    for k, _, result in run_isolated(relax_group, tasks, workers=workers, timeout=_GROUP_LIMIT):
        if isinstance(result, Failure):
            result = list(_singly(chosen[numbers[k]], entries, sent, how, workers))
        yield numbers[k], result


def iter_groups(
    chosen: Mapping[int, Sequence[int]],
    entries: Mapping[int, Any],
    potential: PotentialLike,
    how: Mapping[str, Any],
    *,
    workers: Workers,
) -> Iterator[tuple[int, RelaxResult]]:
    """Relaxes groups; gives (index, result) as each is done: one by one in this process, group by
    group from others.

    Args:
        chosen: Indices by number of the group.
        entries: Structures or atoms, by index.
        potential: A name, a potential or an ASE calculator.
        how: Keywords of `iter_relax`.
        workers: Processes or an executor; 0 works in this one, where what raises is not caught.
    """
    if not computes_here(workers):
        for number, results in relax_groups(chosen, entries, potential, how, workers=workers):
            yield from zip(chosen[number], results, strict=True)
        return
    resolved = as_potential(potential)
    for members in chosen.values():
        found = iter_relax([entries[i] for i in members], resolved, **how, numbers=members)
        for k, result in found:
            yield members[k], result


def _singly(
    indices: Sequence[int],
    entries: Mapping[int, Any],
    potential: "PotentialLike | bytes",
    how: Mapping[str, Any],
    workers: Workers,
) -> Iterator[RelaxResult]:
    tasks = [(potential, how, [i], [entries[i]]) for i in indices]
    for _, _, result in run_isolated(relax_group, [tasks], workers=workers, timeout=_GROUP_LIMIT):
        yield _lost(result.reason) if isinstance(result, Failure) else result[0]


@own_state()
def relax_group(task: _Task) -> list[RelaxResult]:
    """The results of one group; to be called in another process."""
    potential, how, numbers, members = task
    threads = torch.get_num_threads()
    if isinstance(potential, _Sent):
        torch.set_num_threads(1)  # as many processes, or the same last digits without them
    try:
        found = dict(iter_relax(members, _loaded(potential), **how, numbers=numbers))
    finally:
        torch.set_num_threads(threads)
    return [found[k] for k in range(len(members))]


def _lost(reason: str) -> RelaxResult:
    return RelaxResult(None, False, 0, math.nan, math.nan, math.nan, False, reason)


def _sendable(potential: PotentialLike) -> _Sent:
    """A potential as other processes can have it.

    Raises:
        InputError: If it cannot be pickled.
    """
    if isinstance(potential, str):
        return potential
    try:
        return pickle.dumps(potential, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # whatever a calculator raises that cannot be sent
        raise InputError(
            f"{type(potential).__name__} cannot be sent to other processes ({error}). Give the "
            "name of a potential or a calculator that can be pickled, or compute in this process: "
            "workers=0, without an executor."
        ) from error


def _loaded(potential: "PotentialLike | bytes") -> Potential:
    return _received(potential) if isinstance(potential, _Sent) else as_potential(potential)


@lru_cache(maxsize=2)
def _received(sent: _Sent) -> Potential:
    if isinstance(sent, str):
        return as_potential(sent)
    return as_potential(pickle.loads(sent))  # noqa: S301  # made by `_sendable`
