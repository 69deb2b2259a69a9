"""Every registered potential passes the public checks; broken ones do not."""

from dataclasses import replace

import pytest
import torch

from ase_crysdiff import registry
from ase_crysdiff.errors import MissingExtraError, NeedsWeightsError
from ase_crysdiff.networks.energy import build
from ase_crysdiff.potentials.base import Uncertainty
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.potentials.neural import NeuralPotential
from ase_crysdiff.testing.pair_potential import PairPotential
from ase_crysdiff.testing.potentials import CHECKS


@pytest.fixture(scope="module", params=registry.names(registry.POTENTIALS))
def registered(request):
    try:
        return load_potential(request.param)
    except (NeedsWeightsError, MissingExtraError) as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_registered(registered, check):
    check(registered)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("kind", ["pair", "dao-p"])
def test_in_double_precision(kind, check):
    check(
        PairPotential(dtype=torch.float64)
        if kind == "pair"
        else load_potential("dao-p", dtype=torch.float64)
    )


class Broken(PairPotential):
    """Good answers, changed by a fault that reads the question, too."""

    def __init__(self, fault):
        super().__init__(dtype=torch.float64)
        self.fault = fault

    def evaluate(self, configurations):
        return self.fault(super().evaluate(configurations), configurations)


class Careless(PairPotential):
    """Answers whatever it is asked."""

    def __init__(self):
        super().__init__(dtype=torch.float64)

    def evaluate(self, configurations):
        clean = replace(configurations, positions=torch.nan_to_num(configurations.positions))
        return super().evaluate(clean)


class Wasteful(PairPotential):
    """Other energies where no derivatives are asked for."""

    def __init__(self):
        super().__init__(dtype=torch.float64)

    def evaluate_energies(self, configurations):
        found = super().evaluate(configurations)
        return replace(found, energy=found.energy + 1)


class Sure(PairPotential):
    """Expected errors that grow with the cell."""

    uncertainty_limit = 1.0

    def __init__(self):
        super().__init__(dtype=torch.float64)

    def uncertainty(self, configurations):
        sizes = configurations.num_atoms.double()
        return Uncertainty(torch.ones(len(configurations.species)), sizes, 1.0)


def touching(found, given):
    given.positions.add_(1)
    return found


FAULTS = {
    "shapes": lambda e, c: replace(e, energy=e.energy + 1),
    "forces": lambda e, c: replace(e, forces=-e.forces),
    "stress": lambda e, c: replace(e, stress=-e.stress),
    "extensivity": lambda e, c: replace(e, energy=e.energy / c.num_atoms),
    "rotation": lambda e, c: replace(e, energy=e.energy + c.cells[:, 0, 0]),
    "permutation": lambda e, c: replace(e, energy=e.energy + c.species[0]),
    "batch_independence": lambda e, c: replace(e, energy=e.energy - e.energy.mean()),
    "unchanged_input": touching,
    "lone_atom": lambda e, c: replace(e, energy=e.energy + c.cells.sum((1, 2))),
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_broken_potentials_fail(check):
    broken = {
        "energies_alone": Wasteful,
        "no_answer_where_there_is_none": Careless,
        "uncertainty": Sure,
    }
    made = broken.get(check.__name__, lambda: Broken(FAULTS[check.__name__]))()
    with pytest.raises(AssertionError):
        check(made)


@pytest.fixture(scope="module", params=["crysformer", "tensornet"])
def untrained(request):
    """A potential on any encoder that says it is smooth."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(3)
        network = build({"name": request.param, "hidden": 16, "cutoff": 4.0})
        with torch.no_grad():
            network.out.weight.mul_(20)
    references = -torch.arange(100, dtype=torch.float64) / 10
    return NeuralPotential("untrained", network, references, range(1, 99), dtype=torch.float64)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_every_smooth_encoder_makes_a_potential(untrained, check):
    check(untrained)
