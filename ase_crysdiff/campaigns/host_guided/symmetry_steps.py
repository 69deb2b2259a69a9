"""Steps that look for symmetry within growing tolerances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pymatgen.core import Structure

from ase_crysdiff.campaigns.pipeline import Candidate, Step
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.refinement import space_group, symmetrise

#: Groups that do not count: no symmetry but translations, or the inversion alone.
TRIVIAL = (1, 2)
#: Tolerances for frameworks: Å and degrees. Source: CHGGen (Materials Horizons 2025), code.
LADDER = ((0.1, 10.0), (0.2, 15.0), (0.5, 15.0), (0.8, 15.0), (1.0, 20.0), (1.5, 30.0), (2.0, 30.0))


@dataclass(frozen=True)
class SymmetriseFramework(Step):
    """Symmetrises within growing tolerances, until there is more symmetry than P1 and P-1.

    Number and order of atoms and the setting of the cell stay. A framework that stays without
    symmetry is lost.

    Args:
        ladder: Tolerances in Å and degrees, growing.
    """

    ladder: tuple[tuple[float, float], ...] = LADDER
    name: ClassVar[str] = "symmetrise"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        found, symbol, symprec = _first_symmetric(candidate.structure, self.ladder)
        return [candidate.becomes(found, framework_space_group=symbol, framework_symprec=symprec)]


@dataclass(frozen=True)
class SymmetriseFilling(Step):
    """Symmetrises framework and guests within growing tolerances; what has no symmetry there stays
    as it is.

    Guests that are drawn one by one sit a little beside the places that the framework's symmetry
    offers, and a relaxation that starts without symmetry seldom finds it. CHGGen has no such step.

    Args:
        ladder: Tolerances in Å and degrees, growing.
    """

    ladder: tuple[tuple[float, float], ...] = LADDER[:5]
    name: ClassVar[str] = "symmetrise-filling"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        try:
            found, symbol, symprec = _first_symmetric(candidate.structure, self.ladder)
        except InputError:
            return [
                candidate.becomes(
                    candidate.structure, filling_space_group=None, filling_symprec=None
                )
            ]
        return [candidate.becomes(found, filling_space_group=symbol, filling_symprec=symprec)]


@dataclass(frozen=True)
class Refine(Step):
    """Symmetrises within a small tolerance; what has no symmetry there stays as it is.

    Args:
        symprec: Å.
        angle_tolerance: Degrees.
    """

    symprec: float = 0.1
    angle_tolerance: float = 10.0
    name: ClassVar[str] = "refine"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        try:
            structure = bare(
                symmetrise(candidate.structure, self.symprec, angle_tolerance=self.angle_tolerance)
            )
        except InputError:
            structure = candidate.structure
        symbol, number = space_group(structure, self.symprec, self.angle_tolerance)
        return [
            candidate.becomes(
                structure, space_group=symbol, space_group_number=number, symprec=self.symprec
            )
        ]


def _first_symmetric(
    structure: Structure, ladder: Sequence[tuple[float, float]]
) -> tuple[Structure, str, float]:
    """The structure with the first symmetry beyond P-1 on a ladder of tolerances, its symbol and
    the tolerance.

    Raises:
        InputError: If there is none; with the reason at each tolerance.
    """
    reasons = []
    for symprec, angle in ladder:
        try:
            found = symmetrise(structure, symprec, angle_tolerance=angle)
            symbol, number = space_group(found, 0.01)
        except InputError as error:
            reasons.append(f"{symprec:g} Å: {error}")
            continue
        if number not in TRIVIAL:
            return bare(found), symbol, symprec
        reasons.append(f"{symprec:g} Å: {symbol}")
    raise InputError(f"there is no symmetry beyond P-1 ({'; '.join(reasons)})")


def bare(structure: Structure) -> Structure:
    """Lattice, elements and places, without what samplers and symmetrisation write on a
    structure.
    """
    return Structure(
        structure.lattice, [site.specie.symbol for site in structure], structure.frac_coords
    )
