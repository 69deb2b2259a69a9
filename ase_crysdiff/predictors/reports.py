"""What became of what was given to a predictor."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PredictionReport:
    """What became of the structures of a call.

    Args:
        asked: Structures given.
        refused: Reason by position, for those without a value.
        seconds: Taken in all.
        predictor: Name and version of the weights.
        target: What was predicted.
        unit: Of the values.
        remarks: What must be said beside a value, by position: that an energy above the hull is a
            lower bound.
    """

    asked: int
    refused: dict[int, str]
    seconds: float
    predictor: str
    target: str
    unit: str
    remarks: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FinetuneReport:
    """What became of the rows that a predictor was fine-tuned on.

    Args:
        read: Rows given.
        kept: Rows used.
        left_out: Name and reason of the others.
        measured: Errors with intervals, as on the card.
    """

    read: int
    kept: int
    left_out: tuple[tuple[str, str], ...]
    measured: dict[str, Any] = field(default_factory=dict)
