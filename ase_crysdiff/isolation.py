"""Work in processes that may hang or die without taking the rest along."""

import multiprocessing
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from multiprocessing.spawn import is_forking
from types import ModuleType
from typing import Any, TypeAlias

from ase_crysdiff.errors import WorkerError

#: A fresh process imports pymatgen before it answers; on a busy machine that takes its time.
START_LIMIT = 900.0
#: Seconds of processor time for one call of a matcher, a symmetry finder or a featuriser, which
#: take milliseconds.
TIMEOUT = 10.0
#: Seconds by the clock for a process that does not compute: these, and so many times its limit of
#: processor time.
WAIT_LIMIT = 600.0, 2.0
#: Items that go to a process together, unless the caller groups them.
_TOGETHER = 16
#: Exit code of a process whose processor time is used up; nothing handles the signal, so it ends
#: even compiled code.
_OUT_OF_TIME = -getattr(signal, "SIGPROF", 0)


_NOT_BEGUN = (
    "Two worker processes have ended before they began (exit code {code}); what they said of it is "
    "on stderr. A script that defines what its workers use needs 'if __name__ == \"__main__\":' "
    "around all that it does, and what was defined in a notebook or a piped script must move to a "
    "module. Or ask for workers=0, which computes in this process."
)


@dataclass(frozen=True)
class _Chunk:
    """Items that go to one process.

    Args:
        number: Among all chunks.
        first: Position of the first item in the chunk as it was given.
        items: What is left of it.
        suspect: Whether a process has ended at the first item already.
    """

    number: int
    first: int
    items: Sequence[Any]
    suspect: bool = False

    def after(self, count: int, suspect: bool = False) -> "_Chunk":
        """What is left when so many items are done."""
        return _Chunk(self.number, self.first + count, self.items[count:], suspect)


@dataclass(frozen=True)
class Failure:
    """Why an item has no result."""

    reason: str


@dataclass
class _Worker:
    """A process, the pipe to it and what it is busy with."""

    timeout: float = TIMEOUT
    chunk: _Chunk | None = None
    answered: int = 0
    allowed: float = 0.0
    deadline: float = 0.0
    process: Any = None
    pipe: Connection = field(init=False)
    knows_main: bool = False
    has_begun: bool = False
    ended_before: int = 0

    def give(self, function: Callable[[Any], Any], timeout: float, chunk: _Chunk) -> None:
        self.timeout = timeout
        message = bytes(ForkingPickler.dumps((function, timeout, chunk.items)))
        asks_main = b"__main__" in message
        if asks_main and not self.knows_main:
            self.stop()
        if self.process is None:
            self._start(asks_main)
        self.chunk, self.answered, self.has_begun = chunk, 0, False
        self.allow(START_LIMIT)
        with suppress(OSError):  # a dead process shows at the next receive
            self.pipe.send_bytes(message)

    def _start(self, with_main: bool) -> None:
        """Starts the process.

        Args:
            with_main: Whether it runs the caller's script, too, for what that defines. A script
                that has no `if __name__ == "__main__":` would do all its work in every process.
        """
        # Spawned, not forked: a fork after numerical libraries have started their threads may hang.
        context = multiprocessing.get_context("spawn")
        if is_forking(sys.argv):  # before the program has let multiprocessing take over
            raise WorkerError(
                "This is a program frozen into one file, which runs anew in each of its processes. "
                "Call multiprocessing.freeze_support() first of all, or ask for workers=0."
            )
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other,), daemon=True)
        script = sys.modules["__main__"]
        if not with_main:
            sys.modules["__main__"] = ModuleType("__main__")
        try:
            self.process.start()
        finally:
            sys.modules["__main__"] = script
        other.close()
        self.knows_main = with_main

    def allow(self, seconds: float) -> None:
        """By the clock, until the next message."""
        self.allowed, self.deadline = seconds, time.monotonic() + seconds

    def stop(self) -> int | None:
        """Ends the process; its exit code, or minus the signal that has ended it."""
        if self.process is None:
            return None
        self.pipe.close()
        self.process.kill()
        self.process.join()
        code: int | None = self.process.exitcode
        self.process = None
        return code


class WorkerPool:
    """Processes that stay for several calls of `run_isolated`: to start one takes longer than most
    of what it is asked to do. A context manager, at whose end they are gone.

    Args:
        workers: Processes; 0 makes none, and everything is computed in this one.
    """

    def __init__(self, workers: int) -> None:
        self.workers = [_Worker() for _ in range(workers)]

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self.workers:
            worker.stop()

    def run(
        self, function: Callable[[Any], Any], chunks: Sequence[Sequence[Any]], timeout: float
    ) -> Iterator[tuple[int, int, Any]]:
        """Applies a function to every item, in chunks that each stay in one process.

        Args:
            function: Of one item; must be importable by name.
            chunks: The items.
            timeout: Seconds of processor time for one item.

        Yields:
            Number of the chunk, number of the item inside it, and its result or `Failure`.
        """
        todo = deque(_Chunk(number, 0, items) for number, items in enumerate(chunks) if items)
        workers = self.workers[: len(todo)]
        try:
            while todo or any(w.chunk is not None for w in workers):
                for worker in workers:
                    if worker.chunk is None and todo:
                        worker.give(function, timeout, todo.popleft())
                busy = [w for w in workers if w.chunk is not None]
                left = min(w.deadline for w in busy) - time.monotonic()
                ready = wait([w.pipe for w in busy], max(0.0, left))
                for worker in busy:
                    if worker.pipe in ready:
                        yield from _receive(worker, todo)
                    elif time.monotonic() > worker.deadline:
                        yield _give_up(
                            worker, todo, f"no answer within {worker.allowed:g} s by the clock"
                        )
        finally:
            for worker in workers:
                if worker.chunk is not None:  # what it does is no longer wanted
                    worker.stop()
                    worker.chunk = None


#: How many processes work on something, 0 for this one; or processes that are there already.
Workers: TypeAlias = int | WorkerPool


def run_isolated(
    function: Callable[[Any], Any],
    chunks: Sequence[Sequence[Any]],
    *,
    workers: Workers,
    timeout: float,
) -> Iterator[tuple[int, int, Any]]:
    """Applies a function to every item, in chunks that each stay in one process.

    An item that raises, computes for longer than `timeout` or ends its process twice gives a
    `Failure`; a new process goes on with the items after it. Once is not enough: the process may
    have been ended from outside. Processor time is counted, so that a busy machine loses nothing;
    behind it stands a limit by the clock, for what waits and does not compute. Objects that items
    of a chunk share stay shared in the process.

    Args:
        function: Of one item; must be importable by name.
        chunks: The items. Results come chunk by chunk as they are ready, in order inside a chunk.
        workers: Processes, or a pool of them; 0 works in this one, where only exceptions are
            caught.
        timeout: Seconds of processor time for one item.

    Yields:
        Number of the chunk, number of the item inside it, and its result or `Failure`.
    """
    if isinstance(workers, WorkerPool) and workers.workers:
        yield from workers.run(function, chunks, timeout)
    elif isinstance(workers, WorkerPool) or workers == 0:
        for number, items in enumerate(chunks):
            for position, item in enumerate(items):
                yield number, position, _attempt(function, item)
    else:
        with WorkerPool(workers) as pool:
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
        workers: Processes, or a pool of them, at the cost of a `Failure` for each item that hangs
            or ends its process twice; 0 works in this one, where only exceptions are caught.
        timeout: Seconds of processor time for one item.
        chunked: Whether the items come in groups that each stay in one process; the results come
            without the groups.
    """
    chunks = (
        items if chunked else [items[k : k + _TOGETHER] for k in range(0, len(items), _TOGETHER)]
    )
    found = run_isolated(function, chunks, workers=workers, timeout=timeout)
    return [result for _, _, result in sorted(found, key=lambda entry: entry[:2])]


def _receive(worker: _Worker, todo: deque[_Chunk]) -> Iterator[tuple[int, int, Any]]:
    """The next message of a worker: that it has begun on a chunk, or the result of an item."""
    chunk = worker.chunk
    assert chunk is not None
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        yield from _ended(worker, todo)
        return
    worker.allow(WAIT_LIMIT[0] + WAIT_LIMIT[1] * worker.timeout)
    if message is None:
        worker.has_begun, worker.ended_before = True, 0
        return
    position = chunk.first + worker.answered
    worker.answered += 1
    if worker.answered == len(chunk.items):
        worker.chunk = None
    yield chunk.number, position, message[0]


def _ended(worker: _Worker, todo: deque[_Chunk]) -> Iterator[tuple[int, int, Any]]:
    """Tries the item at which a process ended once more, unless it has used up its time or its
    second try.

    Raises:
        WorkerError: If two processes have ended before they began to work.
    """
    assert worker.chunk is not None
    rest = worker.chunk.after(worker.answered, suspect=worker.has_begun or worker.chunk.suspect)
    code = worker.stop()
    if not worker.has_begun:  # nothing was worked on, so nothing can be said of any item
        worker.ended_before += 1
        if worker.ended_before > 1:
            worker.chunk = None
            raise WorkerError(_NOT_BEGUN.format(code=code))
    elif _OUT_OF_TIME and code == _OUT_OF_TIME:
        yield _give_up(worker, todo, f"no answer within {worker.timeout:g} s of processor time")
        return
    elif worker.chunk.suspect and worker.answered == 0:
        yield _give_up(worker, todo, "the process ended")
        return
    todo.appendleft(rest)
    worker.chunk = None


def _give_up(worker: _Worker, todo: deque[_Chunk], reason: str) -> tuple[int, int, Any]:
    """Fails the item in work and puts the items after it back."""
    assert worker.chunk is not None
    rest = worker.chunk.after(worker.answered + 1)
    if rest.items:
        todo.appendleft(rest)
    worker.stop()
    worker.chunk = None
    return rest.number, rest.first - 1, Failure(reason)


def _attempt(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {str(error).strip()[:200]}")


def _serve(pipe: Connection) -> None:
    """The worker's life: chunks in, one result per item out, until the pipe closes."""
    try:
        while True:
            function, timeout, items = pipe.recv()
            pipe.send(None)
            for item in items:
                _limit(timeout)
                result = _attempt(function, item)
                _limit(0)
                pipe.send((result,))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _limit(seconds: float) -> None:
    """Ends this process after so much processor time; 0 takes the limit away. Where there is no
    such timer, the clock limits.
    """
    if _OUT_OF_TIME:
        signal.setitimer(signal.ITIMER_PROF, seconds)
