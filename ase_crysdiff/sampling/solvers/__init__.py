"""Solvers: how one step of the reverse process is taken."""

from collections.abc import Mapping
from typing import Any

from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.solvers.base import Solver
from ase_crysdiff.sampling.solvers.ode import Ode
from ase_crysdiff.sampling.solvers.predictor_corrector import PredictorCorrector

NAMES = ("ancestral", "euler", "heun")


def make_solver(sampling: Mapping[str, Any]) -> Solver:
    """The solver that a card's `sampling` entry asks for.

    Args:
        sampling: `solver` (one of `NAMES`; ancestral where nothing is said), `corrections` of the
            ancestral solver and `hurry` of the deterministic ones.

    Raises:
        InputError: If the name is not known.
    """
    name = sampling.get("solver", "ancestral")
    if name not in NAMES:
        raise InputError(f"solver must be one of {', '.join(NAMES)}, got {name!r}.")
    if name == "ancestral":
        return PredictorCorrector(sampling.get("corrections", {}))
    return Ode(1 if name == "euler" else 2, sampling.get("hurry"))
