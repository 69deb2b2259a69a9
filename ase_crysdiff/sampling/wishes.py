"""Wished properties: what a sampler can be told of them, and what each crystal is told."""

from collections.abc import Mapping, Sequence

import torch

from ase_crysdiff.crystal.properties import Property, Wish, listed
from ase_crysdiff.data.property_columns import DERIVED, LABELS
from ase_crysdiff.errors import IncompatibleError, InputError, did_you_mean
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.symmetry.tables import mirrored

#: Properties that keywords ask for, too.
_SYSTEM, _GROUP = "chemical_system", "space_group"


def check_wishes(
    request: SampleRequest, name: str, properties: Mapping[str, Property], remedy: str = ""
) -> None:
    """Refuses wishes that a sampler was not conditioned on, or that contradict the request.

    Args:
        request: What is asked for.
        name: Of the sampler, for messages.
        properties: What it was conditioned on.
        remedy: What to do about other properties, a sentence.

    Raises:
        IncompatibleError: If it was not conditioned on a property; names those that it takes, with
            units and ranges.
        InputError: If a wish cannot be read, contradicts another one, or has a name that is close
            to that of a property and none itself.
    """
    unknown = sorted(set(request.properties) - set(properties))
    if unknown:
        known = {*properties, *LABELS, *DERIVED}
        for one in unknown:
            if one not in known and (meant := did_you_mean(one, sorted(known))):
                raise InputError(f"No property is called {one!r}.{meant}")
        raise IncompatibleError(
            f"{name!r} was not conditioned on {', '.join(unknown)}. It takes "
            f"{listed(list(properties.values()))}. {remedy}".rstrip()
        )
    wished = {n: properties[n].checked(wish) for n, wish in request.properties.items()}
    elements = request.task.required_elements
    if _SYSTEM in wished and elements is not None and wished[_SYSTEM] != elements:
        raise InputError(
            "The elements that are given and the property chemical_system differ. Leave one out."
        )
    group = request.space_group
    if (
        _GROUP in wished
        and group is not None
        and mirrored(int(str(wished[_GROUP]))) != mirrored(group)
    ):
        raise InputError(
            f"space_group={group} and the property space_group={wished[_GROUP]} differ. Leave one "
            "out."
        )


def beyond_training(request: SampleRequest, properties: Mapping[str, Property]) -> list[str]:
    """What to warn of: targets outside the range of the training data, one sentence each."""
    return [
        f"The wished {name} of {wish} is outside of what the model has seen: {properties[name]}."
        for name, wish in request.properties.items()
        if name in properties and properties[name].outside(wish)
    ]


def told(
    request: SampleRequest,
    properties: Mapping[str, Property],
    streams: Streams,
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """What a model is told of every crystal, by name; of a window a number drawn for each.

    Args:
        request: Checked.
        properties: What the model was conditioned on.
        streams: One for each crystal.
        device: Where the rows go.
        dtype: Of the rows.
    """
    found = {}
    for name, wish in request.properties.items():
        one = properties[name]
        rows = [one.row(one.checked(wish), draw) for draw in window_draws(name, wish, streams)]
        found[name] = torch.tensor(rows, device=device, dtype=dtype)
    return found


def window_draws(name: str, wish: Wish | None, streams: Streams) -> Sequence[float]:
    """Which number of a window each crystal gets, in [0, 1); the middle where there is none."""
    if not isinstance(wish, tuple):
        return [0.5] * len(streams)
    ones = [1] * len(streams)
    draw = streams.rng(f"property {name}", 0, ones, torch.device("cpu"), torch.float64)
    return [float(x) for x in draw.uniform(1)[:, 0]]
