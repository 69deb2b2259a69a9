"""Executors of clusters by a text that a user can type."""

import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from ase_crysdiff.errors import InputError, MissingExtraError, WorkerError

_MISSING = "Dask is not installed: pip install 'ase-crysdiff[distributed]'."


@contextmanager
def dask_executor(address: str, timeout: float = 60.0) -> Iterator[Executor]:
    """The executor of a Dask cluster, until the end of the block.

    Args:
        address: Of a scheduler, such as `tcp://10.0.0.1:8786`; its scheduler file; or `local` for
            as many processes on this machine as it has cores, `local:4` for four. Each computes on
            one thread.
        timeout: Seconds to wait for the scheduler.

    Raises:
        MissingExtraError: If `distributed` is not installed.
        InputError: If the text is none of these.
        WorkerError: If nobody answers at the address.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingExtraError(_MISSING) from error
    local = re.fullmatch(r"local(?::(\d+))?", address)
    if local is None and ":" not in address and not Path(address).is_file():
        raise InputError(
            "A Dask cluster is given by the address of its scheduler, such as tcp://10.0.0.1:8786, "
            f"by its scheduler file, or as local or local:4, got {address!r}."
        )
    if local is not None:
        count = None if local[1] is None else int(local[1])
        if count == 0:
            raise InputError("A local Dask cluster needs at least one process, got 'local:0'.")
        # Threads of one process would take turns.
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            yield client.get_executor()
        return
    where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**where, timeout=timeout)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise WorkerError(
            f"No Dask scheduler answers at {address} ({error}). Start one with 'dask scheduler' "
            "and workers with 'dask worker', and check the address."
        ) from error
    with client:  # its end cancels what nobody waits for any more, where an executor's would wait
        yield client.get_executor()
