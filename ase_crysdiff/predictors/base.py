"""What every predictor of a property is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models.card import Card, Kind
from ase_crysdiff.shapes import Float, Tensor

#: Atoms that are computed together.
_MAX_ATOMS = 4096


@dataclass(frozen=True)
class PropertyTarget:
    """What is predicted.

    Args:
        name: Such as `band_gap`.
        unit: Such as `eV`.
    """

    name: str
    unit: str

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.unit.strip():
            raise InputError("A target has a name and a unit; for a number without unit give '1'.")


@dataclass(frozen=True)
class Estimates:
    """What a predictor says of crystals, in their order.

    Args:
        values: In the unit of the card; NaN where there is none, shape (crystals,).
        uncertainty: One standard deviation in the same unit, NaN where it is not known, shape
            (crystals,).
        failures: Reason by position.
        remarks: What must be said beside a value, by position; nothing for most.
    """

    values: Float[Tensor, " crystals"]
    uncertainty: Float[Tensor, " crystals"]
    failures: Mapping[int, str]
    remarks: Mapping[int, str] = field(default_factory=dict)


class Predictor(ABC):
    """Estimates one property of crystals.

    Args:
        card: With `target` and `unit` in its config.

    Raises:
        CheckpointError: If the card does not say what is predicted.
    """

    def __init__(self, card: Card) -> None:
        missing = [entry for entry in ("target", "unit") if not card.config.get(entry)]
        if missing or card.kind is not Kind.PREDICTOR:
            raise CheckpointError(
                f"The card of {card.name} is none of a predictor: it lacks {missing or 'the kind'}."
            )
        self.card = card
        self.target, self.unit = str(card.config["target"]), str(card.config["unit"])
        self.elements = frozenset(card.elements)

    @property
    def version(self) -> str:
        """Names the weights that a value comes from; empty where there are none yet."""
        return self.card.version

    @abstractmethod
    def predict(self, crystals: CrystalBatch) -> Estimates:
        """The property of crystals in their reduced cells, in any order."""


def portions(crystals: CrystalBatch) -> list[Tensor]:
    """Positions of crystals, sorted by size, in portions of about 4,096 atoms that are computed
    together.

    Args:
        crystals: In any order.

    Returns:
        Positions, each of which is in one portion.
    """
    order = torch.argsort(crystals.num_atoms, stable=True)
    portion = (crystals.num_atoms[order].cumsum(0) - 1) // _MAX_ATOMS
    return list(order.split(torch.unique_consecutive(portion, return_counts=True)[1].tolist()))
