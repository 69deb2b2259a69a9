"""Whether a table of compounds is complete enough to judge a crystal.

Far below a hull lie the crystals that somebody has found and nobody has given a potential's rival;
and the crystals whose rivals the table does not hold. What the shipped table of the Materials
Project knows tells the two apart: a table is complete for a composition if the hull there is not
lowered by compounds that it lacks. Only which compounds it lists matters, so that tables on any
scale of energies can be asked.
"""

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.fingerprints import open_hull
from ase_crysdiff.metrics.formulas import Formula
from ase_crysdiff.metrics.hull import Hull

#: Compounds that a table lacks may lower the hull by so much, eV/atom: tables of other years and
#: functionals differ by this about what lies on the hull.
NEGLIGIBLE = 0.03


class Completeness:
    """What a table lacks, by a fuller one.

    Args:
        hull: The table that is asked for heights.
        known: A table that holds what is known; by default the shipped one.
    """

    def __init__(self, hull: Hull, known: Hull | None = None) -> None:
        self.hull, self.known = hull, open_hull() if known is None else known
        is_same = hull is self.known or (bool(hull.digest) and hull.digest == self.known.digest)
        self._shared = None if is_same else self.known.among(hull)

    def gap(self, composition: Formula) -> float:
        """By how much compounds that the table lacks lower the hull, eV/atom; 0 where nothing is
        known of an element.
        """
        if self._shared is None:
            return 0.0
        try:
            return self._shared.energy(composition) - self.known.energy(composition)
        except InputError:
            return 0.0

    def objection(self, composition: Formula) -> str | None:
        """Why nothing can be said of the stability at a composition; None if the table is complete
        there.
        """
        gap = self.gap(composition)
        if gap <= NEGLIGIBLE:
            return None
        return (
            f"not judged: compounds that the hull {self.hull.name!r} lacks lower it here by at "
            f"least {gap:.2f} eV/atom. Give a table that holds them, or hull='shipped'"
        )
