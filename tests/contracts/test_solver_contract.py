"""Every registered solver meets the published contract, and a broken one does not."""

import pytest

from ase_crysdiff import registry
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.sampling.solvers.ode import Ode
from ase_crysdiff.testing.solvers import CHECKS


class Miscounting(Ode):
    """Asks twice a step and says once."""

    def evaluations(self, steps):
        return steps


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", registry.names(registry.SOLVERS))
def test_registered_solvers(name, check):
    check(registry.load(registry.SOLVERS, name)(SamplingSettings(solver=name)))


def test_velocity_annealing_meets_the_contract_too():
    annealed = SamplingSettings(solver="euler", velocity_annealing={"frac_coords": 10.0})
    for check in CHECKS.values():
        check(registry.load(registry.SOLVERS, "euler")(annealed))


def test_a_broken_solver_is_found():
    with pytest.raises(AssertionError, match="says 7 network evaluations"):
        CHECKS["evaluations_are_counted"](Miscounting(2))
