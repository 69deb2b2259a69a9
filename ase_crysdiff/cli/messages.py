"""What long work reports on the way, and what is warned of, printed."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Whose reports of progress the command line shows.
_LOGGERS = ("ase_crysdiff.campaigns", "ase_crysdiff.sampling")


class _Printer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.INFO:
            print(record.getMessage())


@contextmanager
def printed_reports() -> Iterator[None]:
    """Prints what campaigns report (the level INFO) while the block runs."""
    printer = _Printer(logging.INFO)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(printer)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(printer)
            logger.setLevel(level)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Prints warnings as sentences while the block runs: who gives a command has no use for the
    line of a program.
    """
    before = warnings.formatwarning
    warnings.formatwarning = _sentence
    try:
        yield
    finally:
        warnings.formatwarning = before


def _sentence(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"warning: {message}\n"
