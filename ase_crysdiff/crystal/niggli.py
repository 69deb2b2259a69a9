"""Niggli cells, as spglib finds them."""

import warnings

import numpy as np
import spglib
from numpy.typing import NDArray

#: What spglib raises where it finds nothing: older versions return None, newer ones too, until
#: somebody, such as phonopy when it is imported, asks it for errors.
ERRORS: type[Exception] = getattr(spglib, "SpglibError", RuntimeError)


def niggli_rows(lattice: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Rows of the Niggli cell of a lattice, Å; None if it cannot be reduced.

    Args:
        lattice: Rows in Å, shape (3, 3).
    """
    with warnings.catch_warnings():  # spglib warns of how it will report errors in the future
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = spglib.niggli_reduce(lattice)
        except ERRORS:
            return None
    return None if found is None else np.asarray(found, dtype=np.float64)
