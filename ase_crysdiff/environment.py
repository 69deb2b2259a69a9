"""The one environment variable of the package, read here and nowhere else, and one of a library
that the command line sets.
"""

import os
from pathlib import Path


def weights_folder() -> Path | None:
    """`CRYSDIFF_WEIGHTS`: a folder with one folder of weights per model name; looked at before the
    shipped ones.
    """
    value = os.environ.get("CRYSDIFF_WEIGHTS")  # noqa: TID251
    return Path(value) if value else None


def silence_spglib() -> None:
    """Lets spglib's library say nothing of crystals in which it finds no symmetry, unless
    `SPGLIB_WARNING` says otherwise: whoever asks for a symmetry hears of it.

    For the process and its children, so for programs of our own only.
    """
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # noqa: TID251
