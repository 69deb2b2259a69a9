"""The scale on which a network learns a property."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class TargetScale:
    """Values in their unit against what the network estimates: standardised, by choice after the
    decimal logarithm.

    Args:
        mean: Of the training values (or of their logarithms).
        std: Standard deviation of the training values (or of their logarithms).
        log: Whether the logarithm is learned: moduli spread over decades.
    """

    mean: float
    std: float
    log: bool = False

    @staticmethod
    def of(values: Float[Tensor, " crystals"], log: bool = False) -> "TargetScale":
        """The scale of training values.

        Args:
            values: In their unit.
            log: Whether the logarithm is learned.

        Raises:
            InputError: If they are all the same, or not positive where their logarithm is asked
                for.
        """
        if log and bool((values <= 0).any()):
            raise InputError(
                f"{int((values <= 0).sum())} values are not positive and have no logarithm. Leave "
                "them out."
            )
        known = values.double().log10() if log else values.double()
        std = float(known.std(unbiased=False)) if len(known) else 0.0
        if not std > 0:
            raise InputError(
                f"The {len(values)} training values do not differ; there is nothing to learn."
            )
        return TargetScale(float(known.mean()), std, log)

    def forward(self, values: Tensor) -> Tensor:
        """Values in their unit as the network estimates them."""
        return ((values.log10() if self.log else values) - self.mean) / self.std

    def inverse(self, estimates: Tensor) -> Tensor:
        """The network's estimates in the unit."""
        known = estimates * self.std + self.mean
        return torch.pow(10.0, known) if self.log else known

    def as_dict(self) -> dict[str, Any]:
        """For a card."""
        return asdict(self)
