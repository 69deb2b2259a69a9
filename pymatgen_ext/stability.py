"""`energy_above_hull`: how far structures lie above the hull of known compounds."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import as_structure, entries_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.metrics.energies import Energies
from ase_crysdiff.metrics.formation import energies_above_hull
from ase_crysdiff.metrics.sources import HullLike, hull_from
from ase_crysdiff.potentials.loading import PotentialLike, as_potential


@own_state()
def energy_above_hull(
    structures: Structure | Atoms | Iterable[Structure | Atoms | None],
    potential: PotentialLike = "dao-p",
    hull: HullLike = "shipped",
    *,
    element_references: Mapping[str, float | int] | None = None,
) -> Energies:
    """Energies above the hull of structures as they are; relax them first, with the same potential.

    Candidates do not enter the hull, so a new compound below it gets a negative number. A structure
    that fails is reported in `.failures`, has NaN, and touches no other.

    Args:
        structures: Ordered structures or ASE atoms; None counts as a failure.
        potential: Name of a potential ("dao-p", "chgnet"), a potential or any ASE calculator.
        hull: Formation energies of known compounds, eV/atom, with the elements at 0: "shipped" for
            the table that comes with the package, a `Hull`, a CSV file (columns reduced_formula and
            hull_energy_per_atom) or a mapping by formula. Or structures, relaxed with the
            potential, the elements among them: then the hull is the potential's own, and no
            reference energies are needed.
        element_references: Energy of each element, eV/atom, on the potential's scale; by default
            those stored with it.

    Returns:
        Arrays by position: `.energy_above_hull`, `.formation_energy`, `.hull_energy`, `.energy`
        (eV/atom) and `.is_listed`, false where the hull does not hold the composition and a partial
        hull is only an upper bound; `.remarks` says so by position, and `.ranking` puts exact
        heights first.

    Raises:
        InputError: If the hull cannot be read, or reference energies are needed and missing.
            Elements that the hull or the references lack are failures of single structures; their
            reasons name them.
    """
    resolved = as_potential(potential)
    reasons: dict[int, str] = {}
    given: list[Structure | None] = []
    for position, entry in enumerate(entries_of(structures)):
        try:
            given.append(None if entry is None else as_structure(entry))
        except InputError as error:
            given.append(None)
            reasons[position] = str(error)
    found = energies_above_hull(given, resolved, hull_from(hull, resolved), element_references)
    return replace(found, failures={**found.failures, **reasons}) if reasons else found
