"""Are assembled frameworks those that they should be? By the published tolerances."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.base import wilson
from ase_crysdiff.metrics.matching import formula_key

#: Root mean square displacements up to which frameworks match, in units of (volume per atom)^(1/3).
#: Source: Kim et al. 2025 (MOFFlow), table 1.
TOLERANCES = (0.5, 1.0)
#: Å³ per atom that a matcher is asked about; it is blind to the volume itself.
_VOLUMES = (1.0, 1000.0)
_MATCHERS = tuple(
    StructureMatcher(ltol=0.3, stol=stol, angle_tol=10, primitive_cell=False) for stol in TOLERANCES
)

#: Distances at `TOLERANCES`; None without a match.
Distances = Sequence[float | None]


def framework_distances(pair: tuple[Structure | None, Structure]) -> list[float | None]:
    """RMS displacement of an assembled framework from its target, at each of `TOLERANCES`; None
    without a match.

    Atoms on each other are no reason against it, as published.

    Args:
        pair: The framework, None if there is none, and its target, both in primitive cells.

    Raises:
        InputError: If the framework is none that a matcher can be asked about.
    """
    prediction, target = pair
    if prediction is None:
        raise InputError("not drawn")
    numbers = np.concatenate([prediction.lattice.matrix.ravel(), prediction.frac_coords.ravel()])
    if not np.isfinite(numbers).all():
        raise InputError("not finite")
    low, high = _VOLUMES
    if not low <= prediction.volume / len(prediction) <= high:
        raise InputError(f"volume outside {low:g}-{high:g} Å³ per atom")
    if len(prediction) != len(target) or formula_key(prediction) != formula_key(target):
        raise InputError("another composition")
    found: list[float | None] = [None] * len(TOLERANCES)
    for place in reversed(range(len(TOLERANCES))):
        distance = _MATCHERS[place].get_rms_dist(target, prediction)
        if distance is None:  # then there is none at a stricter tolerance, either
            break
        found[place] = float(distance[0])
    return found


@dataclass(frozen=True)
class Assembled:
    """How many of the targets are among the first samples of them.

    Args:
        match_rate: Share of the targets that a sample matches.
        interval: 95 % of it.
        rmse: Mean of their least distances; None if there are none.
    """

    match_rate: float
    interval: tuple[float, float]
    rmse: float | None

    @staticmethod
    def of(rows: Sequence[Sequence[Distances]], samples: int, place: int) -> "Assembled":
        """Among so many samples, at the tolerance in this place.

        Args:
            rows: For each target the distances of its samples.
            samples: How many of them count.
            place: In `TOLERANCES`.
        """
        near = [[d for one in row[:samples] if (d := one[place]) is not None] for row in rows]
        hits = [min(distances) for distances in near if distances]
        return Assembled(
            len(hits) / len(rows),
            wilson(len(hits), len(rows)),
            float(np.mean(hits)) if hits else None,
        )
