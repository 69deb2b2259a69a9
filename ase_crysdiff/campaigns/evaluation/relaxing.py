"""Second stage: how crystals are relaxed, and their results as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.settings import FMAX, STEPS


@dataclass(frozen=True)
class Options:
    """How crystals are relaxed.

    Args:
        fmax: Largest force that may remain, eV/Å.
        steps: At most so many for each crystal.
        relax_cell: Whether the cell moves.
        optimizer: "lbfgs", "fire", or "lbfgs-ase" with the steps of ASE's L-BFGS.
    """

    fmax: float = FMAX
    steps: int = STEPS
    relax_cell: bool = True
    optimizer: str = "lbfgs"

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def as_plain(index: int, result: RelaxResult) -> dict[str, Any]:
    """A result as plain values."""
    return {"index": index, **result.as_dict()}


def from_plain(values: Mapping[str, Any]) -> tuple[int, RelaxResult]:
    """What `as_plain` described."""
    fields = {name: value for name, value in values.items() if name != "index"}
    return int(values["index"]), RelaxResult.from_dict(fields)
