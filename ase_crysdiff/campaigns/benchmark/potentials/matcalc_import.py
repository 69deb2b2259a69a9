"""What the extra `benchmark` brings, imported when it is needed and quiet while it works."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ase_crysdiff.errors import MissingExtraError

#: Loggers that speak of what a table says as well, or of what no user can change: models of a hub
#: that could not be asked for, imaginary modes, what phonopy computes next.
_TALKATIVE = ("matgl.utils.io", "matcalc", "phonopy")


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings and messages of the extra's packages are not shown: of fits to components that
    symmetry makes zero, of imaginary modes, of names that will change.
    """
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _offline() -> Iterator[None]:
    """No question to a model hub: at its import matcalc asks it for names of models that nobody
    here wants, and waits half a minute where there is no network.
    """
    import huggingface_hub.constants as hub

    before = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = True
    try:
        with quiet():
            yield
    finally:
        hub.HF_HUB_OFFLINE = before


@contextmanager
def _needed(what: str) -> Iterator[None]:
    """A package that is missing is named with the extra that brings it."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs matcalc, matminer and phonopy ({error}): "
            "pip install 'ase-crysdiff[benchmark]'"
        ) from error


def matcalc() -> Any:
    """The package `matcalc`.

    Raises:
        MissingExtraError: If it or what it needs is not installed.
    """
    with _needed("This section"), _offline():
        import matcalc

        return matcalc


def matcalc_benchmarks() -> Any:
    """The module `matcalc.benchmark`.

    Raises:
        MissingExtraError: If it or what it needs is not installed.
    """
    with _needed("MatCalc-Bench"), _offline():
        import matcalc.benchmark

        return matcalc.benchmark


def phonopy() -> Any:
    """The package `phonopy`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    with _needed("This section"), quiet():
        import phonopy

        return phonopy


def entries_in(path: Path) -> int:
    """How many crystals a file of MatCalc-Bench holds."""
    from monty.serialization import loadfn

    return len(loadfn(path, cls=None))
