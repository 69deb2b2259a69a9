"""Work through any executor of `concurrent.futures`: threads, processes, Dask, Parsl, MPI."""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from ase_crysdiff.errors import InputError, WorkerError
from ase_crysdiff.isolation.chunks import Answer, Chunk, Failure
from ase_crysdiff.isolation.serving import message, results, serve_chunk

#: Chunks that an executor holds at most: enough for a cluster, and little memory. An executor that
#: tells how many workers it has holds four for each, if those are more.
IN_FLIGHT = 1024, 4
#: What a worker raises that does not find, or cannot read, what it is asked for. What a function
#: raises never comes this way.
_SET_UP = (ImportError, AttributeError, TypeError, pickle.PickleError)

_BROKEN = (
    "The executor takes no more work ({why}). What had come back before is kept where the call "
    "keeps its work in a folder: give the same call again with a new executor, and it goes on."
)
_FOREIGN = (
    "The workers of the executor cannot do what they are asked for ({why}). They need this version "
    "of ase-crysdiff and of all packages that take part, and what is sent to them must be defined "
    "in a module, not in a script or a notebook."
)
_UNSENDABLE = (
    "What the workers of an executor are asked for cannot be sent to them ({why}). Give potentials "
    "and conditions by name, or objects that can be pickled; or leave the executor out."
)


def run_in_executor(
    executor: Executor, function: Callable[[Any], Any], chunks: Sequence[Sequence[Any]]
) -> Iterator[Answer]:
    """Applies a function to every item, in chunks that are a call each.

    A chunk whose call dies is asked for once more, then item by item; an item whose call dies
    then, and once more while nothing else is under way, is a `Failure`: whoever waits at a worker
    that another item ends dies with it. There is no limit of time: an executor cannot end a call
    that has begun.

    Args:
        executor: Who computes; it stays open.
        function: Of one item; must be importable by name.
        chunks: The items.

    Yields:
        Number of the chunk, number of the item inside it, and its result or `Failure`; chunk by
        chunk as they are ready.

    Raises:
        InputError: If the function or the items cannot be pickled.
        WorkerError: If the executor is broken or closed, or its workers cannot do such work.
    """
    yield from _Dispatch(executor, function).run(
        deque(Chunk(number, 0, items) for number, items in enumerate(chunks) if items)
    )


class _Dispatch:
    """Chunks on their way to an executor and back.

    Args:
        executor: Who computes.
        function: Of one item.
    """

    def __init__(self, executor: Executor, function: Callable[[Any], Any]) -> None:
        self.executor, self.function = executor, function
        self.limit = max(IN_FLIGHT[0], IN_FLIGHT[1] * getattr(executor, "_max_workers", 0))
        self.pending: dict[Future[list[bytes]], Chunk] = {}
        self.ready: SimpleQueue[Future[list[bytes]]] = SimpleQueue()
        self.suspects: deque[Chunk] = deque()
        self.alone: Chunk | None = None
        self.broken: Exception | None = None
        self.has_answered = False

    def run(self, todo: deque[Chunk]) -> Iterator[Answer]:
        """Everything that is to be done, or that could be until the executor broke."""
        try:
            while True:
                while todo and not self.broken and len(self.pending) < self.limit:
                    self._give(todo.popleft())
                if not self.pending and self.suspects and not self.broken:
                    self.alone = self.suspects.popleft()
                    self._give(self.alone)
                if not self.pending:
                    break
                future = self.ready.get()
                chunk = self.pending.pop(future)
                error = _error_of(future)
                if error is None:
                    self.has_answered = True
                    for k, result in enumerate(results(future.result())):
                        yield chunk.number, chunk.first + k, result
                elif not self.broken:
                    yield from self._died(chunk, error, todo)
        finally:
            for future in list(self.pending):  # what they do is no longer wanted
                future.cancel()
        if self.broken:
            raise WorkerError(_BROKEN.format(why=_told(self.broken))) from self.broken

    def _give(self, chunk: Chunk) -> None:
        """Hands a chunk over; notes that the executor is broken if it takes none.

        Raises:
            InputError: If it cannot be pickled.
        """
        try:
            sent = message(self.function, chunk.items)
        except Exception as error:  # whatever an object raises that cannot be sent
            raise InputError(_UNSENDABLE.format(why=_told(error))) from error
        try:
            future = self.executor.submit(serve_chunk, sent, uuid4().hex)
        except Exception as error:  # each kind of executor has errors of its own
            self.broken = error
            return
        self.pending[future] = chunk
        future.add_done_callback(self.ready.put)

    def _died(self, chunk: Chunk, error: BaseException, todo: deque[Chunk]) -> Iterator[Answer]:
        """Puts a chunk back whose call gave no answer, or gives up its only item.

        Raises:
            WorkerError: If the fault is not with the chunk.
        """
        if any(isinstance(cause, _SET_UP) for cause in _causes(error)):
            raise WorkerError(_FOREIGN.format(why=_told(error))) from error
        again = chunk.after(0, chunk.deaths + 1)
        if again.deaths < 2:
            todo.appendleft(again)
        elif len(chunk.items) > 1:
            todo.extend(again.singly())
        elif chunk is not self.alone:
            self.suspects.append(again)
        else:
            self._check(error)
            yield (
                chunk.number,
                chunk.first,
                Failure(f"its worker ended ({type(error).__name__})"),
            )

    def _check(self, error: BaseException) -> None:
        """Before an item is blamed: can the executor do anything?

        Raises:
            WorkerError: If not.
        """
        if self.has_answered:
            return
        try:
            self.executor.submit(serve_chunk, message(abs, [-1]), uuid4().hex).result()
        except BaseException as again:
            if isinstance(again, KeyboardInterrupt):
                raise
            raise WorkerError(_BROKEN.format(why=_told(error))) from error
        self.has_answered = True


def _error_of(future: "Future[list[bytes]]") -> BaseException | None:
    """Why a finished future has no result."""
    try:
        return future.exception()
    except BaseException as error:  # cancelled
        return error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it came from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _told(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
