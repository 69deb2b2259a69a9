"""Crystals of a library by space group and prototype."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.prototypes.library import Library, Pattern
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import Ints, mirrored


@dataclass(frozen=True)
class Symmetry:
    """Chooses crystals of a library; called with a pattern, it says of each of its crystals whether
    it may serve.

    Args:
        library: The crystals.
        group: Number of the space group; None leaves it to the prototype.
        wished: Their prototype, or a scaffold of it; None for any.
    """

    library: Library
    group: int | None
    wished: Prototype | Scaffold | None

    def __call__(self, pattern: Pattern) -> NDArray[np.bool_]:
        return self.rows(np.arange(pattern.rows.start, pattern.rows.stop))[pattern.rows]

    def rows(self, candidates: Ints) -> NDArray[np.bool_]:
        """Which crystals of the whole library may serve, of those that are candidates."""
        found = np.zeros(len(self.library), bool)
        groups, wanted = self.library.group, self._wanted
        asked = [] if self.group is None else [mirrored(self.group)]
        asked += [] if wanted is None else [wanted.group]
        for row in candidates.tolist():
            group = mirrored(int(groups[row]))
            found[row] = all(number == group for number in asked) and (
                wanted is None or self.library.prototype(row) == wanted
            )
        return found

    @cached_property
    def _wanted(self) -> Prototype | None:
        wished = self.wished.prototype if isinstance(self.wished, Scaffold) else self.wished
        return None if wished is None else wished.canonical()
