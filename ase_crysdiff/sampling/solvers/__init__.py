"""Solvers: how one step of the reverse process is taken; registered in `ase_crysdiff.solvers`."""

from ase_crysdiff import registry
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.sampling.solvers.base import Solver


def make_solver(settings: SamplingSettings) -> Solver:
    """The solver that sampling settings ask for.

    Args:
        settings: Their `solver` is a registered name; the solver reads what concerns it.

    Raises:
        UnknownNameError: If no solver has that name.
    """
    solver: Solver = registry.load(registry.SOLVERS, settings.solver)(settings)
    return solver
