"""Runs in processes of their own, some of which are killed.

Each is forked from one process that has imported what they need, and has computed nothing.
"""

import multiprocessing
import signal
import sys
import time

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "pytest",
        "ase_crysdiff.campaigns.benchmark.csp",
        "ase_crysdiff.campaigns.benchmark.library",
        "ase_crysdiff.campaigns.benchmark.results",
        "ase_crysdiff.campaigns.benchmark.reranking",
        "ase_crysdiff.campaigns.evaluation.pipeline",
        "ase_crysdiff.cli.benchmark",
        "ase_crysdiff.cli.train",
        "ase_crysdiff.recipes.miad",
        "ase_crysdiff.sampling.loading",
        "ase_crysdiff.training.run",
    ]
)


def ended(run, *arguments):
    """The exit code of a process of `run(*arguments)`; what `run` returns, if that is a number."""
    process = _started(run, arguments)
    process.join()
    return process.exitcode


def killed(run, *arguments, once):
    """Ends `run(*arguments)` as soon as `once()`; False if it has ended before."""
    process = _started(run, arguments)
    while process.is_alive() and not once():
        time.sleep(0.002)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def _started(run, arguments):
    process = _CONTEXT.Process(target=_run, args=(run, arguments))
    process.start()
    return process


def _run(run, arguments):
    found = run(*arguments)
    sys.exit(found if isinstance(found, int) else 0)
