"""What long work reports on the way, printed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

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
