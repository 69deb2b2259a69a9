"""The two environment variables of the package, read here and nowhere else."""

import os
from pathlib import Path


def weights_folder() -> Path | None:
    """`CRYSDIFF_WEIGHTS`: a folder with one folder of weights per model name; looked at before the
    shipped ones.
    """
    return _folder("CRYSDIFF_WEIGHTS")


def data_folder() -> Path | None:
    """`CRYSDIFF_DATA`: where benchmark data lie."""
    return _folder("CRYSDIFF_DATA")


def _folder(name: str) -> Path | None:
    value = os.environ.get(name)  # noqa: TID251
    return Path(value) if value else None
