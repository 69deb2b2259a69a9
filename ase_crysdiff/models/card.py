"""What is known about a set of weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: A model as names and numbers, as it stands in cards and checkpoints.
Config = Mapping[str, Any]


class Kind(StrEnum):
    """What a set of weights is. The values are those that stand in cards and checkpoints."""

    SAMPLER = "sampler"
    POTENTIAL = "potential"
    PREDICTOR = "predictor"
    BACKBONE = "backbone"
    NOISY_ENERGY = "noisy energy"


@dataclass(frozen=True)
class Card:
    """What is known about a set of weights; the whole of `card.json`.

    Args:
        name: Registered name of the sampler.
        config: The model, as names and numbers.
        sampling: Default number of steps and corrector sizes.
        training: Data, steps, time and hardware of the training.
        measured: Numbers, each with the command that gave them.
        elements: Atomic numbers that occurred in training.
        licence: Of the weights.
        sha256: Of `weights.safetensors`.
    """

    name: str
    config: Config
    sampling: Mapping[str, Any]
    training: Mapping[str, Any]
    measured: Mapping[str, Any]
    elements: tuple[int, ...]
    licence: str
    sha256: str

    @property
    def version(self) -> str:
        """The first digits of the weights' digest: names them in results."""
        return self.sha256[:12]
