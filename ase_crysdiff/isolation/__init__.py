"""Work in processes that may hang or die without taking the rest along: processes of this machine,
or those behind any executor of `concurrent.futures`.
"""

from ase_crysdiff.isolation.chunks import Failure
from ase_crysdiff.isolation.clusters import dask_executor
from ase_crysdiff.isolation.pool import START_LIMIT, WAIT_LIMIT, WorkerPool
from ase_crysdiff.isolation.running import (
    TIMEOUT,
    Workers,
    computes_here,
    map_isolated,
    opened,
    run_isolated,
    workers_of,
)

__all__ = [
    "START_LIMIT",
    "TIMEOUT",
    "WAIT_LIMIT",
    "Failure",
    "WorkerPool",
    "Workers",
    "computes_here",
    "dask_executor",
    "map_isolated",
    "opened",
    "run_isolated",
    "workers_of",
]
