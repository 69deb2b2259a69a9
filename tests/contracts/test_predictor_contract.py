"""Every registered predictor passes the public checks; broken ones do not."""

from dataclasses import replace

import pytest
import torch

from ase_crysdiff import registry
from ase_crysdiff.models.card import Card
from ase_crysdiff.predictors.base import Estimates, Predictor
from ase_crysdiff.predictors.loading import load_predictor
from ase_crysdiff.testing.predictors import CHECKS

CONFIG = {"kind": "predictor", "target": "volume", "unit": "Å³/atom"}
CARD = Card("volume", CONFIG, None, {}, {}, tuple(range(1, 90)), "MIT", "")


class Volume(Predictor):
    """Volume per atom, without any weights; `fault` changes it as it should not be."""

    def __init__(self, fault=lambda found, crystals: found):
        super().__init__(CARD)
        self.fault = fault

    def predict(self, crystals):
        volumes = torch.linalg.det(crystals.lattice.double()).abs() / crystals.num_atoms
        return self.fault(Estimates(volumes, torch.full_like(volumes, torch.nan), {}), crystals)


@pytest.fixture(scope="module", params=registry.names(registry.PREDICTORS))
def registered(request):
    return load_predictor(request.param)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_registered(registered, check):
    check(registered)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_simplest_predictor_passes(check):
    check(Volume())


def unnamed():
    predictor = Volume()
    predictor.unit = " "
    return predictor


def spoiled(found, crystals):
    crystals.frac_coords.add_(0.5)
    return found


FAULTS = {
    "values": lambda e, c: replace(e, values=e.values * 0),
    "order": lambda e, c: replace(e, values=e.values.sort().values),
    "batch_independence": lambda e, c: replace(e, values=e.values - e.values.mean()),
    "supercell": lambda e, c: replace(e, values=e.values + c.lattice[:, 0, 0]),
    "refusals": lambda e, c: replace(e, values=e.values + (torch.nan if len(c) == 2 else 0)),
    "unchanged_input": spoiled,
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_broken_predictors_fail(check):
    broken = unnamed() if check.__name__ == "says_what" else Volume(FAULTS[check.__name__])
    with pytest.raises(AssertionError):
        check(broken)
