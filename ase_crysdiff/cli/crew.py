"""`--workers` and `--dask`: where a command computes."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ase_crysdiff.errors import InputError

if TYPE_CHECKING:
    from ase_crysdiff.isolation import Workers


def add_crew(
    parser: argparse.ArgumentParser,
    default: int = 0,
    help: str = "processes; 0, the default, computes here",
) -> None:
    """Adds `--workers` and `--dask`.

    Args:
        parser: Of the command.
        default: Processes if neither is given.
        help: What they do.
    """
    parser.add_argument("--workers", type=int, help=help)
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="a Dask cluster instead: address of its scheduler, its scheduler file, or local:4 for "
        "four processes here",
    )
    parser.set_defaults(default_workers=default)


@contextmanager
def crew(options: argparse.Namespace) -> "Iterator[Workers]":
    """Who computes, until the end of the block: a number of processes, or an executor.

    Raises:
        InputError: If both are asked for, or one of them makes no sense.
        MissingExtraError: If Dask is asked for and not installed.
        WorkerError: If no scheduler answers.
    """
    from ase_crysdiff.isolation import dask_executor, workers_of

    if options.dask is None:
        yield workers_of(options.default_workers if options.workers is None else options.workers)
        return
    if options.workers is not None:
        raise InputError(
            "--workers and --dask exclude each other: a cluster has workers of its own. "
            "--dask local:4 starts four processes here."
        )
    with dask_executor(options.dask) as executor:
        yield executor
