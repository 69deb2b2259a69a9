"""`run_isolated` and `map_isolated`: the same work here, in processes of this machine, or behind an
executor.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeAlias

from ase_crysdiff.arguments import positive
from ase_crysdiff.errors import InputError
from ase_crysdiff.isolation.chunks import Answer, attempt
from ase_crysdiff.isolation.executors import run_in_executor
from ase_crysdiff.isolation.pool import WorkerPool

#: Seconds of processor time for one call of a matcher, a symmetry finder or a featuriser, which
#: take milliseconds.
TIMEOUT = 10.0
#: Items that go to a process together, unless the caller groups them.
_TOGETHER = 16

#: How many processes work on something, 0 for this one; or processes that are there already; or an
#: executor, whose workers may be anywhere.
Workers: TypeAlias = int | WorkerPool | Executor


def workers_of(workers: object = 0, executor: object = None) -> Workers:
    """The two keywords that say where something is computed, as one.

    Args:
        workers: A number of processes; also processes that are there, or an executor.
        executor: An executor of `concurrent.futures`, if no number is given.

    Raises:
        InputError: If both are given, or one of them is something else.
    """
    if executor is None:
        if isinstance(workers, WorkerPool | Executor):
            return workers
        return positive("workers", workers, 0)
    if not isinstance(executor, Executor):
        raise InputError(
            "executor must be an executor of concurrent.futures, such as ProcessPoolExecutor(4) or "
            f"the get_executor() of a Dask client, got {type(executor).__name__}."
        )
    if workers != 0:
        raise InputError(
            f"workers={workers!r} and executor exclude each other: an executor has workers of its "
            "own. Give one of them."
        )
    return executor


def computes_here(workers: Workers) -> bool:
    """Whether there are no others, so that this process computes."""
    return not (workers.workers if isinstance(workers, WorkerPool) else workers)


@contextmanager
def opened(workers: Workers) -> Iterator[Workers]:
    """Keeps processes for all calls of the block, where a number of them is given: to start one
    takes longer than most of what it is asked to do.

    Args:
        workers: From `workers_of`. What is there already is passed on, and stays.
    """
    if isinstance(workers, int) and workers:
        with WorkerPool(workers) as pool:
            yield pool
    else:
        yield workers


def run_isolated(
    function: Callable[[Any], Any],
    chunks: Sequence[Sequence[Any]],
    *,
    workers: Workers,
    timeout: float,
) -> Iterator[Answer]:
    """Applies a function to every item, in chunks that each stay in one process.

    An item that raises, computes for longer than `timeout` or ends its process twice gives a
    `Failure`; a new process goes on with the items after it. Once is not enough: the process may
    have been ended from outside. Processor time is counted, so that a busy machine loses nothing;
    behind it stands a limit by the clock, for what waits and does not compute. Objects that items
    of a chunk share stay shared in the process.

    Args:
        function: Of one item; must be importable by name.
        chunks: The items. Results come chunk by chunk as they are ready, in order inside a chunk.
        workers: Processes, a pool of them, or an executor, which knows no limit of time; 0 works in
            this one, where only exceptions are caught.
        timeout: Seconds of processor time for one item.

    Yields:
        Number of the chunk, number of the item inside it, and its result or `Failure`.

    Raises:
        WorkerError: If processes cannot be started, or an executor is broken.
    """
    if isinstance(workers, Executor):
        yield from run_in_executor(workers, function, chunks)
    elif computes_here(workers):
        for number, items in enumerate(chunks):
            for position, item in enumerate(items):
                yield number, position, attempt(function, item)
    else:
        with opened(workers) as pool:
            assert isinstance(pool, WorkerPool)
            yield from pool.run(function, chunks, timeout)


def map_isolated(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    workers: Workers,
    timeout: float = TIMEOUT,
    chunked: bool = False,
) -> list[Any]:
    """The result or `Failure` of every item, in the order of the items.

    Args:
        function: Of one item; must be importable by name.
        items: What it is applied to.
        workers: Processes, a pool of them or an executor, at the cost of a `Failure` for each item
            that hangs or ends its process again and again; 0 works in this one, where only
            exceptions are caught.
        timeout: Seconds of processor time for one item; of no meaning to an executor.
        chunked: Whether the items come in groups that each stay in one process; the results come
            without the groups.
    """
    chunks = (
        items if chunked else [items[k : k + _TOGETHER] for k in range(0, len(items), _TOGETHER)]
    )
    found = run_isolated(function, chunks, workers=workers, timeout=timeout)
    return [result for _, _, result in sorted(found, key=lambda entry: entry[:2])]
