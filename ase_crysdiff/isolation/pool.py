"""Processes of this machine that may hang or die without taking the rest along."""

import multiprocessing
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
from typing import Any

from ase_crysdiff.errors import WorkerError
from ase_crysdiff.isolation.chunks import Answer, Chunk, Failure
from ase_crysdiff.isolation.serving import OUT_OF_TIME, serve

#: A fresh process imports pymatgen before it answers; on a busy machine that takes its time.
START_LIMIT = 900.0
#: Seconds by the clock for a process that does not compute: these, and so many times its limit of
#: processor time.
WAIT_LIMIT = 600.0, 2.0

_NOT_BEGUN = (
    "Two worker processes have ended before they began (exit code {code}); what they said of it is "
    "on stderr. A script that defines what its workers use needs 'if __name__ == \"__main__\":' "
    "around all that it does, and what was defined in a notebook or a piped script must move to a "
    "module. Or ask for workers=0, which computes in this process."
)


@dataclass
class _Worker:
    """A process, the pipe to it and what it is busy with."""

    timeout: float = 0.0
    chunk: Chunk | None = None
    answered: int = 0
    allowed: float = 0.0
    deadline: float = 0.0
    process: Any = None
    pipe: Connection = field(init=False)
    knows_main: bool = False
    has_begun: bool = False
    ended_before: int = 0

    def give(self, function: Callable[[Any], Any], timeout: float, chunk: Chunk) -> None:
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
        self.process = context.Process(target=serve, args=(other,), daemon=True)
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
    ) -> Iterator[Answer]:
        """Applies a function to every item, in chunks that each stay in one process.

        Args:
            function: Of one item; must be importable by name.
            chunks: The items.
            timeout: Seconds of processor time for one item.

        Yields:
            Number of the chunk, number of the item inside it, and its result or `Failure`.
        """
        todo = deque(Chunk(number, 0, items) for number, items in enumerate(chunks) if items)
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


def _receive(worker: _Worker, todo: deque[Chunk]) -> Iterator[Answer]:
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


def _ended(worker: _Worker, todo: deque[Chunk]) -> Iterator[Answer]:
    """Tries the item at which a process ended once more, unless it has used up its time or its
    second try.

    Raises:
        WorkerError: If two processes have ended before they began to work.
    """
    assert worker.chunk is not None
    rest = worker.chunk.after(
        worker.answered, deaths=int(worker.has_begun or worker.chunk.deaths > 0)
    )
    code = worker.stop()
    if not worker.has_begun:  # nothing was worked on, so nothing can be said of any item
        worker.ended_before += 1
        if worker.ended_before > 1:
            worker.chunk = None
            raise WorkerError(_NOT_BEGUN.format(code=code))
    elif OUT_OF_TIME and code == OUT_OF_TIME:
        yield _give_up(worker, todo, f"no answer within {worker.timeout:g} s of processor time")
        return
    elif worker.chunk.deaths and worker.answered == 0:
        yield _give_up(worker, todo, "the process ended")
        return
    todo.appendleft(rest)
    worker.chunk = None


def _give_up(worker: _Worker, todo: deque[Chunk], reason: str) -> Answer:
    """Fails the item in work and puts the items after it back."""
    assert worker.chunk is not None
    rest = worker.chunk.after(worker.answered + 1)
    if rest.items:
        todo.appendleft(rest)
    worker.stop()
    worker.chunk = None
    return rest.number, rest.first - 1, Failure(reason)
