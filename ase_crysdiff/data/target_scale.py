"""The scale on which a network learns a property."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class TargetScale:
    """Values in their unit against what the network estimates: standardised, by choice after a
    transform.

    Args:
        mean: Of the training values after the transform.
        std: Standard deviation of the training values after the transform.
        transform: None, "log" or "log1p" (natural logarithms): moduli spread over decades.
    """

    mean: float
    std: float
    transform: str | None = None

    @staticmethod
    def of(values: Float[Tensor, " crystals"], transform: str | None = None) -> "TargetScale":
        """The scale of training values.

        Args:
            values: In their unit.
            transform: None, "log" or "log1p".

        Raises:
            InputError: If they are all the same, or have no logarithm where one is asked for.
        """
        chosen = transform_of(transform)
        if chosen.above is not None and bool((values <= chosen.above).any()):
            raise InputError(
                f"{int((values <= chosen.above).sum())} values are not above {chosen.above:g} and "
                f"have no {transform}. Leave them out."
            )
        known = chosen.forward(values.double())
        std = float(known.std(unbiased=False)) if len(known) else 0.0
        if not std > 0:
            raise InputError(
                f"The {len(values)} training values do not differ; there is nothing to learn."
            )
        return TargetScale(float(known.mean()), std, transform)

    @staticmethod
    def of_card(entry: Mapping[str, Any]) -> "TargetScale":
        """The scale on a card. Older cards say whether the decimal logarithm was learned."""
        if "log" not in entry:
            return TargetScale(**entry)
        mean, std = float(entry["mean"]), float(entry["std"])
        if not entry["log"]:
            return TargetScale(mean, std)
        return TargetScale(mean * math.log(10), std * math.log(10), "log")

    def forward(self, values: Tensor) -> Tensor:
        """Values in their unit as the network estimates them."""
        return (transform_of(self.transform).forward(values) - self.mean) / self.std

    def inverse(self, estimates: Tensor) -> Tensor:
        """The network's estimates in the unit."""
        return transform_of(self.transform).inverse(estimates * self.std + self.mean)

    def as_dict(self) -> dict[str, Any]:
        """For a card."""
        return asdict(self)
