"""Work for processes that is quick to import."""

import os
import time
from pathlib import Path


def misbehave(item):
    """The item, unless it asks for something else; a path ends the process where nobody has left a
    file.
    """
    if isinstance(item, Path) and not item.exists():
        item.touch()
        os._exit(3)
    if item == "die":
        os._exit(3)
    if item == "hang":
        time.sleep(1000)
    if item == "wait":
        time.sleep(1.5)
    while item == "compute":
        pass
    if item == "raise":
        raise ValueError("no number")
    return item
