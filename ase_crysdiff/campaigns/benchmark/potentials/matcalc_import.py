"""The benchmark classes of matcalc, imported when they are needed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ase_crysdiff.errors import MissingExtraError


@contextmanager
def _offline() -> Iterator[None]:
    """No question to a model hub: at its import matcalc asks it for names of models that nobody
    here wants, and waits half a minute where there is no network.
    """
    import huggingface_hub.constants as hub

    log = logging.getLogger("matgl.utils.io")  # says that it could not ask
    before, level = hub.HF_HUB_OFFLINE, log.level
    hub.HF_HUB_OFFLINE = True
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before
        log.setLevel(level)


def matcalc_benchmarks() -> Any:
    """The module `matcalc.benchmark`.

    Raises:
        MissingExtraError: If it or what it needs is not installed.
    """
    try:
        with _offline():
            import matcalc.benchmark
    except ImportError as error:
        raise MissingExtraError(
            f"MatCalc-Bench needs matcalc, matminer and phonopy ({error}): "
            "pip install 'ase-crysdiff[benchmark]'"
        ) from error
    return matcalc.benchmark


def entries_in(path: Path) -> int:
    """How many crystals a file of MatCalc-Bench holds."""
    from monty.serialization import loadfn

    return len(loadfn(path, cls=None))
