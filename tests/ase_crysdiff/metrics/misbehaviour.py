"""Work for processes that is quick to import."""

import os
import time


def misbehave(item):
    """The item, unless it asks for something else."""
    if item == "die":
        os._exit(3)
    if item == "hang":
        time.sleep(1000)
    if item == "raise":
        raise ValueError("no number")
    return item
