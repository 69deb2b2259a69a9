"""Progress bars where somebody sees them: on a terminal and in a notebook."""

import sys
import warnings
from typing import Any


def tqdm(*args: Any, disable: bool | None = None, **options: Any) -> Any:
    """A bar of tqdm. With `disable=None` it is shown on a terminal, as by tqdm, and in a notebook,
    whose output is none.

    Args:
        args: Of tqdm.
        disable: Whether there is no bar; None decides by where the output goes.
        options: Of tqdm.
    """
    if not in_notebook():
        from tqdm.std import tqdm as plain

        return plain(*args, disable=disable, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a bar of letters takes the place of a widget
        from tqdm.auto import tqdm as fitting
    return fitting(*args, disable=bool(disable), **options)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"
