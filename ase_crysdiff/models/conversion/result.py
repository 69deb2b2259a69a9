"""What a conversion gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ase_crysdiff.models.card import Config
from ase_crysdiff.models.conversion.source import Tensors


@dataclass(frozen=True)
class Converted:
    """A network of someone else's, as ours.

    Args:
        sampler: Name of the sampler that loads it.
        config: Of the model, without what the data say: `sizes` and `elements`.
        tensors: By our names.
        sampling: How its authors draw from it.
    """

    sampler: str
    config: Config
    tensors: Tensors
    sampling: Mapping[str, Any]
