"""Wishes that a sampler was not conditioned on, or that a predictor serves better: the predictor of
the property chooses among candidates.
"""

import math
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
        at_most: Whether a wish is for all that lies at or below its number, or the larger one of
            its window.
    """

    predictor: str
    tolerance: float = 0.0
    at_most: bool = False


#: By the names of properties in wishes.
GUIDES = {
    "band_gap": Guide("band-gap", 0.3),
    "formation_energy": Guide("formation-energy", 0.05),
    "energy_above_hull": Guide("energy-above-hull", at_most=True),
    "bulk_modulus": Guide("bulk-modulus", 15.0),
    "shear_modulus": Guide("shear-modulus", 12.0),
}


class WishSteering(Steering):
    """Chooses among candidates by predictors of several properties, whose weights are multiplied.

    Args:
        parts: The steering of each property, by the property's name.
        asked: Whether the request wished it; else the sampler did.

    Raises:
        InputError: If a setting makes no sense.
    """

    def __init__(self, parts: Mapping[str, PropertySteering], asked: bool = True) -> None:
        first = next(iter(parts.values()))
        window = [limit if math.isfinite(limit) else None for limit in first.window]
        super().__init__(window, first.population, first.strength, first.times)
        self.parts, self.asked = dict(parts), asked

    def __repr__(self) -> str:
        return " and ".join(map(repr, self.parts.values()))

    def values(self, crystals: CrystalBatch) -> Float[Tensor, " crystals"]:
        return next(iter(self.parts.values())).values(crystals)

    def log_weights(self, crystals: CrystalBatch) -> Float[Tensor, " crystals"]:
        return torch.stack([part.log_weights(crystals) for part in self.parts.values()]).sum(0)


def guided(request: SampleRequest, sampler: "Sampler") -> SampleRequest:
    """A request whose wishes that the sampler was not conditioned on are left to predictors; with a
    weight of 0 these wishes are left out. So are those that it leaves to predictors in this
    request, see `Sampler.properties_for`.

    Where nothing is wished and nothing steers, the sampler may wish something by itself, see
    `Sampler.wishes_for`. Wishes that no predictor knows stay, and are the sampler's to refuse.

    Args:
        request: Parsed.
        sampler: Who is to serve it.
    """
    wished = request.properties
    if not wished and not request.conditions:
        wished = sampler.wishes_for(request)
    told = sampler.properties_for(request) if wished else {}
    windows = {
        name: _window(wish, GUIDES[name])
        for name, wish in wished.items()
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
    steering = [WishSteering(parts, asked=bool(request.properties))] if weight > 0 else []
    return replace(
        request,
        properties=kept,
        guidance_weight=weight if kept else 1.0,
        conditions=(*request.conditions, *steering),
    )


def said_of_guides(request: SampleRequest, sampler: "Sampler") -> tuple[str, ...]:
    """A sentence on each wish that is left to a predictor.

    Args:
        request: As `guided` gives it.
        sampler: Who serves it.
    """
    steering = [c for c in request.conditions if isinstance(c, WishSteering)]
    return tuple(
        f"{_why(wished, sampler, some.asked)} Of {one.population} candidates for each crystal "
        f"{one.predictor!r} chooses one {_said_of(one.window)} {one.unit}; judge what comes by "
        "another predictor."
        for some in steering
        for wished, one in some.parts.items()
    )


def _why(wished: str, sampler: "Sampler", asked: bool) -> str:
    if not asked:
        return (
            f"Where nothing is wished, {sampler.name!r} wishes {wished}, a sampler by its name "
            "nothing."
        )
    if wished in sampler.capabilities.properties:
        return (
            f"{sampler.name!r} leaves {wished} of new crystals to a predictor, which does better."
        )
    return f"{sampler.name!r} was not conditioned on {wished}."


def _said_of(window: tuple[float, float]) -> str:
    low, high = window
    return f"near {low:g} to {high:g}" if math.isfinite(low) else f"at or below {high:g}"


def _window(wish: float | tuple[float, float], guide: Guide) -> tuple[float | None, float]:
    """A window as it is, or one around a number; open below where less is as good."""
    if guide.at_most:
        return None, float(wish[1] if isinstance(wish, tuple) else wish)
    if isinstance(wish, tuple):
        return wish
    return float(wish) - guide.tolerance, float(wish) + guide.tolerance
