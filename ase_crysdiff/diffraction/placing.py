"""From a crystal that is off to one that fits: its lattice against a blurred scan, then all of it
against the sharp one.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.diffraction.fit import Outcome, minimise
from ase_crysdiff.diffraction.model import SHIFT, SITES, SLOPE, STRAIN, THERMAL, WIDTH, Model
from ase_crysdiff.diffraction.reflections import Reflections, has_form_factors
from ase_crysdiff.diffraction.search import starts
from ase_crysdiff.diffraction.view import Views
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.finding import find_symmetric

#: Tolerance of the symmetry that a fit keeps, Å.
_SYMPREC = 0.03
#: Places that the search, the coarse and the medium view hand on.
_PLACES = 3, 3, 2
#: Strains of two places differ by this at least, and their costs by this factor at most.
_APART, _CLOSE = 3e-3, 1.15
#: Families of reflections that place the lattice.
_STRONGEST = 80
#: Steps of least squares with a blurred scan and the gain that ends them, as a share of the cost;
#: steps with the sharp scan, for lattices that do not fit, for others, and for all numbers.
_COARSE_STEPS, _FEWEST_STEPS, _FEW_STEPS, _STEPS = (6, 0.01), 2, 8, 20
#: What is refined with the atoms at rest, and with them.
_LATTICE = STRAIN, SHIFT, WIDTH
ALL_KINDS = (*_LATTICE, SLOPE, THERMAL, SITES)
#: Atoms are moved in so many of the crystals, those whose lattices fit best.
_REFINED = 8
#: Reflections are kept up to this share beyond the end of the scan: a cell may grow.
_BEYOND = 1.1

#: A model with the numbers that fit best.
Fitted: TypeAlias = tuple[Model, Outcome]


def placed(structure: Structure, views: Views) -> list[Fitted] | str:
    """The best fits of the lattice of a crystal, the best first, or why there is none.

    Args:
        structure: The crystal.
        views: Of the scan.
    """
    problem = gate(structure)
    if problem is not None:
        return f"It is no sound crystal: {problem}."
    crystal = _symmetric(structure)
    if not has_form_factors(crystal):
        return "Scattering factors of one of its elements are not known."
    pattern = views.scan.pattern
    reflections = Reflections.of(crystal, pattern.largest_inverse_d * _BEYOND)
    if not len(reflections):
        return "It has no reflection in the range of the pattern."
    model = Model(reflections, pattern.radiation)
    # The strongest peaks place the lattice.
    strong = model.strongest(_STRONGEST)
    found = []
    for strain in starts(strong, views.coarse, _PLACES[0]):
        numbers = model.start()
        numbers[model.places[STRAIN]] = strain
        found.append(minimise(strong, views.coarse, numbers, (STRAIN,), *_COARSE_STEPS))
    found = _distinct(found, _PLACES[1])
    found = [minimise(strong, views.medium, f.numbers, (STRAIN,), *_COARSE_STEPS) for f in found]
    return [(model, outcome) for outcome in _distinct(found, _PLACES[2])]


def refined(found: list[list[Fitted] | str], views: Views) -> list[Fitted | str]:
    """The best fit of each crystal; atoms are moved in those whose lattice fits best.

    Args:
        found: What `placed` says of each.
        views: Of the scan.
    """
    best = sorted(one[0][1].cost for one in found if not isinstance(one, str))
    limit = best[min(len(best), _REFINED) - 1] if best else 0.0
    kept: list[Fitted | str] = []
    for one in found:
        if isinstance(one, str):
            kept.append(one)
            continue
        steps = _FEW_STEPS if one[0][1].cost <= limit else _FEWEST_STEPS
        sharp = [(m, minimise(m, views.sharp, o.numbers, _LATTICE, steps)) for m, o in one]
        if one[0][1].cost <= limit:
            sharp = [(m, minimise(m, views.sharp, o.numbers, ALL_KINDS, _STEPS)) for m, o in sharp]
        kept.append(min(sharp, key=lambda pair: pair[1].cost))
    return kept


def _symmetric(structure: Structure) -> SymmetricCrystal:
    """The crystal in the primitive standard cell of its group, in P1 if no group is found."""
    try:
        return find_symmetric(structure, _SYMPREC)
    except InputError:
        sites = [((int(site.specie.Z), "a"), site.frac_coords) for site in structure]
        return SymmetricCrystal.of_sites(1, structure.lattice.matrix, sites)


def _distinct(found: Sequence[Outcome], count: int) -> list[Outcome]:
    """The best places that are not the same."""
    kept: list[Outcome] = []
    for one in sorted(found, key=lambda outcome: outcome.cost):
        far = all(np.abs(one.numbers - other.numbers).max() > _APART for other in kept)
        if far and (not kept or one.cost < _CLOSE * kept[0].cost):
            kept.append(one)
    return kept[:count]
