"""What callers, or other packages, have changed for the whole process is set aside while this one
computes, and given back afterwards.

Torch keeps its number format and its threads for the process, and its device, gradient, inference
and autocast modes for each thread; NumPy keeps how it treats overflow. A network that is built
while another package has made double precision the default cannot read its own inputs; one that
computes on all cores of a busy machine waits, in each of its many small operations, for the slowest
of them; and a process that was forked after such work waits for ever.
"""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from ase_crysdiff.environment import quiet_spglib

#: Systems of fewer atoms are computed on one thread: operations on them are too small to be shared.
LARGE = 1024

_lock = threading.Lock()
_local = threading.local()
_first_process = os.getpid()


class _Process:
    """Number format, precision of products and threads of the caller, whether spglib may write to
    the terminal, and how many threads of Python are inside.
    """

    inside = 0
    dtype: Any = None
    precision = "highest"
    threads = 1
    spglib: str | None = None


@contextmanager
def own_state(*, one_thread: bool = True) -> Iterator[None]:
    """Single precision on the CPU by default, gradients as the code itself asks for them, no
    autocast, one thread, and a spglib that does not write to the terminal, until the end of the
    block; as a decorator, of the function.

    Inside another such block it does nothing.

    Args:
        one_thread: Whether to compute on one thread; what trains keeps those of the caller.
    """
    if getattr(_local, "depth", 0):
        yield
        return
    import torch

    _enter(torch, one_thread)
    try:
        with ExitStack() as modes:
            for mode in _modes(torch):
                modes.enter_context(mode)
            yield
    finally:
        _leave(torch)


@contextmanager
def callers_state() -> Iterator[None]:
    """Number format, device and threads as the caller of this package has them, for code of others
    that is called from inside: a calculator that was made in double precision computes in it.
    """
    if not getattr(_local, "depth", 0):
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_default_dtype(_Process.dtype)
    torch.set_float32_matmul_precision(_Process.precision)
    torch.set_num_threads(_Process.threads)
    try:
        with torch.device(_local.device) if _local.device.type != "cpu" else ExitStack():
            yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
        torch.set_num_threads(threads)


@contextmanager
def threads_for(num_atoms: int) -> Iterator[None]:
    """The caller's threads for a large system; those that are set for a small one, and in a process
    that has been forked or started from another, which may hang with more.

    Args:
        num_atoms: That are computed together.
    """
    is_child = os.getpid() != _first_process or multiprocessing.parent_process() is not None
    if num_atoms < LARGE or is_child or not getattr(_local, "depth", 0):
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(_Process.threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _enter(torch: Any, one_thread: bool) -> None:
    with _lock:
        if not _Process.inside:
            _Process.dtype = torch.get_default_dtype()
            _Process.precision = torch.get_float32_matmul_precision()
            _Process.threads = torch.get_num_threads()
            _Process.spglib = quiet_spglib()
        _Process.inside += 1
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
    # torch.get_default_device() of 2.4 and 2.5 fails once a caller has set None.
    _local.depth, _local.device = 1, torch.empty(0).device
    if one_thread:
        torch.set_num_threads(1)


def _leave(torch: Any) -> None:
    _local.depth = 0
    with _lock:
        _Process.inside -= 1
        if not _Process.inside:
            torch.set_default_dtype(_Process.dtype)
            torch.set_float32_matmul_precision(_Process.precision)
            quiet_spglib(value=_Process.spglib)
    torch.set_num_threads(_Process.threads)


def _modes(torch: Any) -> Iterator[AbstractContextManager[Any]]:
    """The modes that undo those of the caller, and what keeps the caller's random numbers."""
    import numpy as np

    if torch.is_inference_mode_enabled():
        yield torch.inference_mode(mode=False)
    if not torch.is_grad_enabled():
        yield torch.enable_grad()
    if _local.device.type != "cpu":  # costs a call for every operation, so only where it must be
        yield torch.device("cpu")
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            yield torch.autocast(device, enabled=False)
    # Networks are built with random weights before theirs are read.
    yield torch.random.fork_rng(devices=[])
    yield np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
