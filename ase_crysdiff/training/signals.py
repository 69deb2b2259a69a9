"""Signals that end a run at a step boundary."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_by_signal(request_stop: Callable[[], None]) -> Iterator[None]:
    """Lets SIGINT and SIGTERM ask for an end, and a second one end the process at once.

    Outside the main thread, where no handlers can be set, nothing changes.

    Args:
        request_stop: Called by the first signal.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        request_stop()
        signal.signal(
            number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler
        )

    try:
        old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
