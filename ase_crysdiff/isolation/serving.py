"""The other side: what runs in a process that works for another one."""

import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from tqdm.std import tqdm

from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation.chunks import Failure, attempt

#: Exit code of a process whose processor time is used up; nothing handles the signal, so it ends
#: even compiled code.
OUT_OF_TIME = -getattr(signal, "SIGPROF", 0)

#: Number format, threads and networks belong to a process, so threads of one take turns.
_turn = threading.Lock()


def serve(pipe: Connection) -> None:
    """The life of a worker of `WorkerPool`: chunks in, one result per item out, until the pipe
    closes.
    """
    # Bars of one process need no lock between processes, whose semaphores a killed one would leave
    # behind, with a warning for the user.
    tqdm.set_lock(threading.RLock())
    try:
        while True:
            function, timeout, items = pipe.recv()
            pipe.send(None)
            for item in items:
                _limit(timeout)
                result = attempt(function, item)
                _limit(0)
                pipe.send((result,))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def message(function: Callable[[Any], Any], items: Sequence[Any]) -> bytes:
    """A chunk as `serve_chunk` takes it.

    Plain pickles: those of `multiprocessing` may hold handles of this machine in place of tensors.
    """
    return pickle.dumps((function, items), protocol=pickle.HIGHEST_PROTOCOL)


def serve_chunk(chunk: bytes, ticket: str) -> list[bytes]:
    """The results of a chunk; what an executor is asked to call.

    The worker belongs to somebody else, so its number format, threads and modes are set aside.

    Args:
        chunk: A `message`.
        ticket: Not looked at; tells a second try from the first, as some executors give equal
            calls the same answer.

    Returns:
        Each result, or `Failure`, pickled.
    """
    with _turn, _threads_kept(), own_state():
        function, items = pickle.loads(chunk)  # noqa: S301  # made by `message`
        return [_pickled(attempt(function, item)) for item in items]


def results(answer: Sequence[bytes]) -> list[Any]:
    """What `serve_chunk` has returned, on the side that asked."""
    return [pickle.loads(result) for result in answer]  # noqa: S301  # made by `serve_chunk`


def _pickled(result: Any) -> bytes:
    try:
        return pickle.dumps(result, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # whatever an object raises that cannot be sent
        return pickle.dumps(Failure(f"its result cannot be sent: {error}"))


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Gives this thread the number of threads back that it had: `own_state` gives it the caller's,
    who may be another thread of this process and compute on one himself.
    """
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _limit(seconds: float) -> None:
    """Ends this process after so much processor time; 0 takes the limit away. Where there is no
    such timer, the clock limits.
    """
    if OUT_OF_TIME:
        signal.setitimer(signal.ITIMER_PROF, seconds)
