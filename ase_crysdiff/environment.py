"""The environment variables of the package, and one of spglib, here and nowhere else."""

import os
from pathlib import Path

_SPGLIB = "SPGLIB_WARNING"


def weights_folder() -> Path | None:
    """`CRYSDIFF_WEIGHTS`: a folder with one folder of weights per model name; looked at before the
    shipped ones.
    """
    value = os.environ.get("CRYSDIFF_WEIGHTS")  # noqa: TID251
    return Path(value) if value else None


def data_folder() -> Path | None:
    """`CRYSDIFF_DATA`: the folder of data packs, from which tasks read their tables."""
    value = os.environ.get("CRYSDIFF_DATA")  # noqa: TID251
    return Path(value) if value else None


def quiet_spglib(*, value: str | None = "OFF") -> str | None:
    """Sets `SPGLIB_WARNING`, with which spglib writes to the terminal about crystals in which it
    finds no symmetry. What it finds, and that it finds nothing, the caller learns otherwise.

    Args:
        value: What to set; None takes the variable away.

    Returns:
        What it was, None if it was not set: to be given back.
    """
    was = os.environ.get(_SPGLIB)  # noqa: TID251
    if value is None:
        os.environ.pop(_SPGLIB, None)  # noqa: TID251
    else:
        os.environ[_SPGLIB] = value  # noqa: TID251
    return was
