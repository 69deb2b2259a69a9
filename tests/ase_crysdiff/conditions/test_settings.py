"""Numbers that mean nothing are refused when a condition is made, not while crystals are drawn."""

import pytest

from ase_crysdiff.conditions.atom_count import AtomCountPrior
from ase_crysdiff.conditions.classifier_free import ClassifierFree
from ase_crysdiff.conditions.closest_approach import ClosestApproach
from ase_crysdiff.conditions.energy_guidance import check_settings
from ase_crysdiff.conditions.temperature import Temperature
from ase_crysdiff.errors import InputError

NAN, INF = float("nan"), float("inf")


def energy(guidance_scale=1.0, max_shift=0.05):
    check_settings(guidance_scale, (0.0, 0.75), max_shift)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        *[(Temperature, {"temperature": x}, "temperature") for x in (NAN, -1.0, 0.0, INF)],
        (Temperature, {"temperature": 0.5, "excluded_classes": (-1,)}, "excluded_classes"),
        *[(AtomCountPrior, {"weights": (1.0, x)}, "weight") for x in (NAN, -1.0, INF)],
        *[(ClosestApproach, {"fraction": x}, "fraction") for x in (NAN, -1.0, 0.0, INF)],
        *[(ClosestApproach, {"fraction": 0.8, "window": x}, "window") for x in (NAN, -0.1)],
        *[(ClosestApproach, {"fraction": 0.8, "sweeps": x}, "sweeps") for x in (0, -1)],
        *[(ClassifierFree, {"names": ["gap"], "weight": x}, "weight") for x in (NAN, INF)],
        *[(energy, {"guidance_scale": x}, r"guidance_scale .* 1/\(eV") for x in (-1.0, INF)],
        *[(energy, {"max_shift": x}, "max_shift .* fractional units") for x in (0.0, INF)],
    ],
)
def test_numbers_that_mean_nothing_are_refused(make, settings, message):
    with pytest.raises(InputError, match=rf"{message}.* got"):
        make(**settings)
