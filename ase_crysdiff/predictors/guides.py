"""Wishes that a sampler was not told of: the predictor of the property chooses among candidates."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ase_crysdiff.conditions.population import Steering
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.predictors.steering import PropertySteering
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.shapes import Float, Tensor

if TYPE_CHECKING:
    from ase_crysdiff.sampling.sampler import Sampler

#: Candidates for each crystal.
POPULATION = 8
#: What half a window away from the window weighs is exp(-STRENGTH) at a guidance weight of 1.
STRENGTH = 4.0


@dataclass(frozen=True)
class Guide:
    """The predictor of a property.

    Args:
        predictor: Its name.
        tolerance: Half of the window around a single number that is wished, in its unit; about its
            error.
    """

    predictor: str
    tolerance: float


#: By the names of properties in wishes.
GUIDES = {
    "band_gap": Guide("band-gap", 0.3),
    "formation_energy": Guide("formation-energy", 0.05),
    "energy_above_hull": Guide("energy-above-hull", 0.05),
    "bulk_modulus": Guide("bulk-modulus", 15.0),
    "shear_modulus": Guide("shear-modulus", 12.0),
}


class WishSteering(Steering):
    """Chooses among candidates by predictors of several properties, whose weights are multiplied.

    Args:
        parts: The steering of each property, by the property's name.

    Raises:
        InputError: If a setting makes no sense.
    """

    def __init__(self, parts: Mapping[str, PropertySteering]) -> None:
        first = next(iter(parts.values()))
        super().__init__(first.window, first.population, first.strength, first.times)
        self.parts = dict(parts)

    def __repr__(self) -> str:
        return " and ".join(map(repr, self.parts.values()))

    def values(self, crystals: CrystalBatch) -> Float[Tensor, " crystals"]:
        return next(iter(self.parts.values())).values(crystals)

    def log_weights(self, crystals: CrystalBatch) -> Float[Tensor, " crystals"]:
        return torch.stack([part.log_weights(crystals) for part in self.parts.values()]).sum(0)


def guided(request: SampleRequest, sampler: "Sampler") -> SampleRequest:
    """A request whose wishes that the sampler was not conditioned on are left to predictors; with a
    weight of 0 these wishes are left out.

    Wishes that no predictor knows stay, and are the sampler's to refuse.

    Args:
        request: Parsed.
        sampler: Who is to serve it.
    """
    told = sampler.properties_for(request) if request.properties else {}
    windows = {
        name: _window(wish, GUIDES[name])
        for name, wish in request.properties.items()
        if name in GUIDES and name not in told and not isinstance(wish, str | frozenset)
    }
    if not windows:
        return request
    kept = {name: wish for name, wish in request.properties.items() if name not in windows}
    weight = request.guidance_weight
    parts = {
        name: PropertySteering(GUIDES[name].predictor, window, POPULATION, STRENGTH * weight)
        for name, window in windows.items()
    }
    return replace(
        request,
        properties=kept,
        guidance_weight=weight if kept else 1.0,
        conditions=(*request.conditions, *([WishSteering(parts)] if weight > 0 else [])),
    )


def said_of_guides(request: SampleRequest, sampler: str) -> tuple[str, ...]:
    """A sentence on each wish that is left to a predictor.

    Args:
        request: As `guided` gives it.
        sampler: Name of who serves it.
    """
    return tuple(
        f"{sampler!r} was not conditioned on {name}. Of {one.population} candidates for each "
        f"crystal {one.predictor!r} chooses one near {one.window[0]:g} to {one.window[1]:g}; judge "
        "what comes by another predictor."
        for condition in request.conditions
        if isinstance(condition, WishSteering)
        for name, one in condition.parts.items()
    )


def _window(wish: float | tuple[float, float], guide: Guide) -> tuple[float, float]:
    """A window as it is, or one around a number."""
    if isinstance(wish, tuple):
        return wish
    return float(wish) - guide.tolerance, float(wish) + guide.tolerance
