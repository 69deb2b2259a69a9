"""Energies of structures, with what has to be said of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.metrics.hull import Footing, footing


@dataclass(frozen=True, repr=False)
class Energies:
    """Energies of structures by position; NaN for those among the failures.

    Args:
        energy: What the potential gives, eV/atom.
        formation_energy: Against the elements, eV/atom.
        hull_energy: Height of the hull at the composition, eV/atom, on the hull's scale.
        energy_above_hull: eV/atom; negative for a candidate that the hull does not know and that
            would break it.
        is_listed: Whether the hull holds the composition; where not, a partial hull is an upper
            bound and stability optimistic.
        remarks: What must be said beside a height, by position: that it is a lower bound, or rests
            on nothing; that the structure is outside of what the potential knows. Nothing for
            exact ones.
        failures: Reason by position.
        settings: Potential, references and hull that the values depend on.
        uncertainty: Standard deviation of the error of `energy`, eV/atom; NaN where the potential
            does not say how far it is to be believed.
        doubts: That a structure is outside of what the potential knows, by position.
        incomplete: Why stability cannot be judged, by position, where the hull lacks compounds that
            are known to lie lower.
    """

    energy: NDArray[np.float64]
    formation_energy: NDArray[np.float64]
    hull_energy: NDArray[np.float64]
    energy_above_hull: NDArray[np.float64]
    is_listed: NDArray[np.bool_]
    failures: Mapping[int, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    remarks: Mapping[int, str] = field(default_factory=dict)
    uncertainty: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    doubts: Mapping[int, str] = field(default_factory=dict)
    incomplete: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.uncertainty) != len(self.energy):
            object.__setattr__(self, "uncertainty", np.full(len(self.energy), np.nan))

    def __repr__(self) -> str:
        heights = np.array2string(self.energy_above_hull, precision=3, threshold=8, separator=", ")
        return (
            f"Energies(energy_above_hull={heights} eV/atom, {len(self.remarks)} with remarks, "
            f"{len(self.failures)} failed)"
        )

    @property
    def footing(self) -> list[Footing | None]:
        """What each height rests on; None where there is no height."""
        heights = zip(self.is_listed.tolist(), self.energy_above_hull.tolist(), strict=True)
        return [None if np.isnan(height) else footing(listed, height) for listed, height in heights]

    @property
    def ranking(self) -> list[int]:
        """Positions, the best first: exact heights by height, then lower bounds, then what rests on
        nothing; after these, in the same order, what is outside of what the potential knows; and at
        the end what has no height.
        """
        order = {grade: k for k, grade in enumerate(Footing)}
        grades, heights = self.footing, self.energy_above_hull.tolist()

        def place(i: int) -> tuple[bool, bool, int, float]:
            grade = grades[i]
            if grade is None:
                return True, False, 0, 0.0
            return False, i in self.doubts, order[grade], heights[i]

        return sorted(range(len(self)), key=place)

    def __len__(self) -> int:
        return len(self.energy)
