"""The one environment variable of the package, read here and nowhere else."""

import os
from pathlib import Path


def weights_folder() -> Path | None:
    """`CRYSDIFF_WEIGHTS`: a folder with one folder of weights per model name; looked at before the
    shipped ones.
    """
    value = os.environ.get("CRYSDIFF_WEIGHTS")  # noqa: TID251
    return Path(value) if value else None
