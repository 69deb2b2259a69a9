"""Symmetry that relaxed crystals nearly have: looked for within growing tolerances, kept where the
crystal that has it is no higher in energy.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pymatgen.core import Structure

from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.symmetry.refinement import SYMMETRY_ERRORS, analyser_of, symmetrise

#: Tolerances, Å and degrees, growing. At 0.5 Å atoms of different sites come near each other.
LADDER = ((0.1, 5.0), (0.2, 10.0), (0.3, 10.0), (0.5, 15.0))
#: Tolerance at which a relaxed crystal has the symmetry that it has, Å.
OWN = 0.01
#: By so much a symmetric crystal may be higher in energy, eV/atom: what is left of forces below the
#: limit of a relaxation.
RISE = 1e-3

#: Structures, relaxed while they keep their symmetry: gives positions and results.
Relax = Callable[[Sequence[Structure]], Iterator[tuple[int, RelaxResult]]]


@dataclass(frozen=True)
class Snapping:
    """Which symmetries are tried, and which are kept.

    Args:
        ladder: Tolerances in Å and degrees, growing.
        rise: How much higher a symmetric crystal may be, eV/atom.
    """

    ladder: tuple[tuple[float, float], ...] = LADDER
    rise: float = RISE

    @staticmethod
    def asked(snap: bool, symmetric: bool) -> "Snapping | None":
        """The keywords of `relax`, checked; None if nothing is to be looked for.

        Raises:
            InputError: If symmetry is kept from the start.
        """
        if snap and symmetric:
            raise InputError(
                "snap looks for symmetry after a relaxation without, and symmetric=True keeps that "
                "of the start. Give one of the two."
            )
        return Snapping() if snap else None

    def apply(
        self, results: Iterator[tuple[int, RelaxResult]], relax: Relax
    ) -> Iterator[tuple[int, RelaxResult]]:
        """The results, those with more symmetry in the place of those that nearly have it.

        Args:
            results: Of relaxations without symmetry, by position.
            relax: Relaxes structures that keep theirs.
        """
        waiting: dict[int, RelaxResult] = {}
        tried: list[tuple[int, float, Structure]] = []
        for position, result in results:
            nearby = self.nearby(result)
            if not nearby:
                yield position, result
                continue
            waiting[position] = result
            tried += [(position, symprec, structure) for symprec, structure in nearby]
        taken = dict(waiting)
        for k, found in relax([structure for *_, structure in tried]):
            position, symprec, _ = tried[k]
            before = waiting[position]
            # The ladder grows, and with it the symmetry: what comes later takes precedence.
            more = symprec > (taken[position].snapped or 0)
            low = found.energy_per_atom <= before.energy_per_atom + self.rise
            if found.converged and more and low:
                taken[position] = _taken(before, found, symprec)
        yield from taken.items()

    def nearby(self, result: RelaxResult) -> list[tuple[float, Structure]]:
        """Structures with more symmetry than a result's, each with its tolerance."""
        structure = result.structure
        if structure is None or not result.converged or gate(structure) is not None:
            return []
        most = _order(structure)
        found: list[tuple[float, Structure]] = []
        for symprec, angle in self.ladder:
            try:
                symmetric = symmetrise(structure, symprec, angle_tolerance=angle)
            except InputError:
                continue
            order = _order(symmetric)
            if order > most > 0:
                most = order
                found.append((symprec, symmetric))
        return found


def _order(structure: Structure) -> int:
    """Operations of the space group in the cell as it is; 0 where they cannot be found."""
    try:
        return len(analyser_of(structure, OWN).get_symmetry_dataset().rotations)
    except SYMMETRY_ERRORS:
        return 0


def _taken(before: RelaxResult, found: RelaxResult, symprec: float) -> RelaxResult:
    """The symmetric result, counted and judged from where the first relaxation began."""
    assert found.structure is not None
    assert before.structure is not None
    structure = found.structure.copy()
    structure.properties = dict(before.structure.properties)
    return replace(
        found,
        structure=structure,
        steps=before.steps + found.steps,
        first_energy=before.first_energy,
        accepted=before.accepted,
        reason=before.reason,
        snapped=symprec,
    )
