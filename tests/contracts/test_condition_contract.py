"""Every registered condition meets the published contract, and a broken one does not."""

import pytest
import torch

from ase_crysdiff import registry
from ase_crysdiff.conditions.base import Estimating
from ase_crysdiff.conditions.different_species import DifferentSpecies
from ase_crysdiff.conditions.inpainting import KnownRows
from ase_crysdiff.conditions.named import conditions_of
from ase_crysdiff.conditions.species import AllowedSpecies, RequiredSpecies
from ase_crysdiff.errors import CrysDiffError, InputError
from ase_crysdiff.testing.conditions import CHECKS

#: Settings that registered conditions cannot do without.
SETTINGS = {
    "atom-count-prior": {"weights": [0.0, 1.0, 2.0, 0.5]},
    "classifier-free": {"names": ["band_gap"]},
    "closest-approach": {"fraction": 0.8},
    "energy": {"potential": "dao-p", "guidance_scale": 5.0},
    "property": {"predictor": "band-gap", "window": [1.0, 2.0], "population": 3},
    "temperature": {"temperature": 0.5},
}
PARTS = {
    "allowed species": AllowedSpecies(torch.arange(100).expand(13, 100) % 3 == 1),
    "required species": RequiredSpecies((3, 8)),
    "different species": DifferentSpecies(torch.tensor([0, 0, 1, 1, 20, 21, 21, 22, *[-1] * 5])),
    "known rows": KnownRows("lattice", torch.zeros(3, 6), torch.tensor([True, False, True])),
}


class Reviving(Estimating):
    """Gives every class a chance, the impossible ones too."""

    component = "species"

    def estimate(self, clean, t, layout):
        return clean.clamp_min(-3.0)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", registry.names(registry.CONDITIONS))
def test_registered_conditions(name, check):
    assert name in SETTINGS, f"say here with which settings {name!r} is to be tried"
    (condition,) = conditions_of([{"name": name, **SETTINGS[name]}])
    check(condition)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("part", PARTS)
def test_conditions_without_a_name(part, check):
    check(PARTS[part])


def test_a_broken_condition_is_found():
    with pytest.raises(AssertionError, match="was impossible"):
        CHECKS["the_impossible_stays_impossible"](Reviving())


def test_wrong_names_and_settings_are_explained():
    with pytest.raises(LookupError, match="closest-approach"):
        conditions_of([{"name": "closest-aproach"}])
    with pytest.raises(InputError, match="does not take"):
        conditions_of([{"name": "temperature", "warmth": 2}])
    with pytest.raises(InputError, match="does not take .*missing"):
        conditions_of(["temperature"])
    for nothing in (None, 3, {"fraction": 0.7}, [3]):
        with pytest.raises(InputError, match="or a mapping such as"):
            conditions_of(nothing)


def test_one_condition_needs_no_list():
    wanted = {"name": "temperature", "temperature": 0.5}
    (made,) = conditions_of(wanted)
    assert (made,) == conditions_of(made) == conditions_of([wanted])
    for given in ("temperature", "temperatur"):
        with pytest.raises(CrysDiffError, match=f"'{given}'"):
            conditions_of(given)
