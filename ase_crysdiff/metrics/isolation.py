"""Work in processes that may hang or die without taking the rest along."""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

#: A fresh process imports pymatgen before it answers; on a busy machine that takes its time.
START_LIMIT = 300.0
#: Seconds for one call of a matcher, a symmetry finder or a featuriser, which take milliseconds.
TIMEOUT = 10.0
#: Items that go to a process together, unless the caller groups them.
_TOGETHER = 16

Chunk = tuple[int, int, Sequence[Any]]


@dataclass(frozen=True)
class Failure:
    """Why an item has no result."""

    reason: str


@dataclass
class _Worker:
    """A process, the pipe to it and what it is busy with."""

    function: Callable[[Any], Any]
    timeout: float
    chunk: Chunk | None = None
    answered: int = 0
    deadline: float = 0.0
    process: Any = None
    pipe: Connection = field(init=False)

    def give(self, chunk: Chunk) -> None:
        if self.process is None:
            # Spawned, not forked: a fork after numerical libraries have started their threads may hang.
            context = multiprocessing.get_context("spawn")
            self.pipe, other = context.Pipe()
            self.process = context.Process(target=_serve, args=(other, self.function), daemon=True)
            self.process.start()
            other.close()
        self.chunk, self.answered = chunk, 0
        self.deadline = time.monotonic() + START_LIMIT
        with suppress(OSError):  # a dead process shows at the next receive
            self.pipe.send(chunk[2])

    def stop(self) -> None:
        if self.process is not None:
            self.pipe.close()
            self.process.kill()
            self.process.join()
            self.process = None


def run_isolated(
    function: Callable[[Any], Any], chunks: Sequence[Sequence[Any]], *, workers: int, timeout: float
) -> Iterator[tuple[int, int, Any]]:
    """Applies a function to every item, in chunks that each stay in one process.

    An item that raises, takes longer than `timeout` or ends its process gives a `Failure`; a new process goes on with the
    items after it. Objects that items of a chunk share stay shared in the process.

    Args:
        function: Of one item; must be importable by name.
        chunks: The items. Results come chunk by chunk as they are ready, in order inside a chunk.
        workers: Processes; 0 works in this one, where only exceptions are caught.
        timeout: Seconds for one item.

    Yields:
        Number of the chunk, number of the item inside it, and its result or `Failure`.
    """
    if workers == 0:
        for number, items in enumerate(chunks):
            for position, item in enumerate(items):
                yield number, position, _attempt(function, item)
        return
    todo: deque[Chunk] = deque((number, 0, items) for number, items in enumerate(chunks) if items)
    crew = [_Worker(function, timeout) for _ in range(min(workers, len(todo)))]
    try:
        while todo or any(w.chunk is not None for w in crew):
            for worker in crew:
                if worker.chunk is None and todo:
                    worker.give(todo.popleft())
            busy = [w for w in crew if w.chunk is not None]
            left = min(w.deadline for w in busy) - time.monotonic()
            ready = wait([w.pipe for w in busy], max(0.0, left))
            for worker in busy:
                if worker.pipe in ready:
                    yield from _receive(worker, todo)
                elif time.monotonic() > worker.deadline:
                    yield from _give_up(worker, todo, f"no answer within {timeout:g} s")
    finally:
        for worker in crew:
            worker.stop()


def map_isolated(
    function: Callable[[Any], Any], items: Sequence[Any], *, workers: int, timeout: float = TIMEOUT, chunked: bool = False
) -> list[Any]:
    """The result or `Failure` of every item, in the order of the items.

    Args:
        function: As in `run_isolated`.
        items: What it is applied to.
        workers: As in `run_isolated`.
        timeout: As in `run_isolated`.
        chunked: Whether the items come in groups that each stay in one process; the results come without the groups.
    """
    chunks = items if chunked else [items[k : k + _TOGETHER] for k in range(0, len(items), _TOGETHER)]
    found = run_isolated(function, chunks, workers=workers, timeout=timeout)
    return [result for _, _, result in sorted(found, key=lambda entry: entry[:2])]


def _receive(worker: _Worker, todo: deque[Chunk]) -> Iterator[tuple[int, int, Any]]:
    """The next message of a worker: that it has begun on a chunk, or the result of an item."""
    assert worker.chunk is not None
    number, first, items = worker.chunk
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        yield from _give_up(worker, todo, "the process ended")
        return
    worker.deadline = time.monotonic() + worker.timeout
    if message is None:
        return
    position = first + worker.answered
    worker.answered += 1
    if worker.answered == len(items):
        worker.chunk = None
    yield number, position, message[0]


def _give_up(worker: _Worker, todo: deque[Chunk], reason: str) -> Iterator[tuple[int, int, Any]]:
    """Fails the item in work and puts the items after it back."""
    assert worker.chunk is not None
    number, first, items = worker.chunk
    rest = items[worker.answered + 1 :]
    if rest:
        todo.appendleft((number, first + worker.answered + 1, rest))
    worker.stop()
    worker.chunk = None
    yield number, first + worker.answered, Failure(reason)


def _attempt(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {str(error).strip()[:200]}")


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """The worker's life: chunks in, one result per item out, until the pipe closes."""
    try:
        while True:
            items = pipe.recv()
            pipe.send(None)
            for item in items:
                pipe.send((_attempt(function, item),))
    except (EOFError, OSError, KeyboardInterrupt):
        return
