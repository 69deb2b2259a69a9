"""Niggli cells, as spglib finds them."""

import warnings

import numpy as np
import spglib
from numpy.typing import NDArray


def niggli_rows(lattice: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Rows of the Niggli cell of a lattice, Å; None if it cannot be reduced.

    Args:
        lattice: Rows in Å, shape (3, 3).
    """
    with warnings.catch_warnings():  # spglib warns of how it will report errors in the future
        warnings.simplefilter("ignore", DeprecationWarning)
        found = spglib.niggli_reduce(lattice)
    return None if found is None else np.asarray(found, dtype=np.float64)
