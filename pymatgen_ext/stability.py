"""`energy_above_hull`: how far structures lie above the hull of known compounds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pymatgen.core import Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.formation import Energies, energies_above_hull, hull_of
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential

HullLike: TypeAlias = Hull | str | Path | Mapping[str, float | int] | Sequence[Structure]


def energy_above_hull(
    structures: Structure | Sequence[Structure | None],
    potential: PotentialLike,
    hull: HullLike,
    *,
    element_references: Mapping[str, float | int] | None = None,
) -> Energies:
    """Energies above the hull of structures as they are; relax them first, with the same potential.

    Candidates do not enter the hull, so a new compound below it gets a negative number. A structure
    that fails is reported in `.failures`, has NaN, and touches no other.

    Args:
        structures: Ordered structures; None counts as a failure.
        potential: Name of a potential ("dao-p", "chgnet"), a potential or any ASE calculator.
        hull: Formation energies of known compounds, eV/atom, with the elements at 0: a `Hull`, a
            CSV file (columns reduced_formula and hull_energy_per_atom) or a mapping by formula. Or
            structures, relaxed with the potential, the elements among them: then the hull is the
            potential's own, and no reference energies are needed.
        element_references: Energy of each element, eV/atom, on the potential's scale; by default
            those stored with it.

    Returns:
        Arrays by position: `.energy_above_hull`, `.formation_energy`, `.hull_energy`, `.energy`
        (eV/atom) and `.is_listed`, false where the hull does not hold the composition and a partial
        hull is only an upper bound.

    Raises:
        InputError: If the hull cannot be read, or reference energies are needed and missing.
            Elements that the hull or the references lack are failures of single structures; their
            reasons name them.
    """
    resolved = as_potential(potential)
    given = [structures] if isinstance(structures, Structure) else list(structures)
    return energies_above_hull(given, resolved, hull_from(hull, resolved), element_references)


def hull_from(hull: HullLike, potential: Potential) -> Hull:
    """The hull that `energy_above_hull` accepts in several forms.

    Raises:
        InputError: If it is none of them or cannot be read.
    """
    if isinstance(hull, Hull):
        return hull
    if isinstance(hull, str | Path):
        return Hull.read(hull)
    if isinstance(hull, Mapping):
        return Hull(hull)
    if isinstance(hull, Sequence) and hull and all(isinstance(entry, Structure) for entry in hull):
        return hull_of(hull, potential)
    raise InputError(
        "hull is a Hull, the path of a CSV file, a mapping from formulas to eV/atom or "
        f"structures, not {hull!r}."
    )
