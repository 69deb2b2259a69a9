"""Crystals fitted to a powder pattern: the lattice first, against a blurred scan, then the rest."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import as_structure, entries_of
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.diffraction.fit import Outcome, minimise
from ase_crysdiff.diffraction.model import (
    SHIFT,
    SITES,
    SLOPE,
    STRAIN,
    TEXTURE,
    THERMAL,
    WIDTH,
    Model,
    normal_of,
)
from ase_crysdiff.diffraction.orientation import Texture
from ase_crysdiff.diffraction.pattern import Pattern
from ase_crysdiff.diffraction.radiation import two_theta_of
from ase_crysdiff.diffraction.reflections import Reflections, has_form_factors
from ase_crysdiff.diffraction.results import Curves, PatternFit
from ase_crysdiff.diffraction.scan import Scan, scan_of
from ase_crysdiff.diffraction.search import starts
from ase_crysdiff.diffraction.view import View
from ase_crysdiff.errors import InputError
from ase_crysdiff.progress import tqdm
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.finding import find_symmetric

Floats = NDArray[np.float64]

#: Tolerance of the symmetry that a fit keeps, Å.
_SYMPREC = 0.03
#: Blurs of the scan, full widths in degrees, with how many places each hands on to the next.
_COARSE, _MEDIUM = (0.9, 3), (0.35, 2)
#: Places that the search hands on.
_PLACES = 3
#: Strains of two places differ by this at least, and their costs by this factor at most.
_APART, _CLOSE = 3e-3, 1.15
#: Families of reflections that place the lattice.
_STRONGEST = 80
#: Steps of least squares with a blurred scan and the gain that ends them, as a share of the cost;
#: steps with the sharp scan, for lattices that do not fit, for others, and for all
#: numbers.
_COARSE_STEPS, _FEWEST_STEPS, _FEW_STEPS, _STEPS = (6, 0.01), 2, 8, 20
#: What is refined with the atoms at rest, and with them.
_LATTICE = STRAIN, SHIFT, WIDTH
_ALL = (*_LATTICE, SLOPE, THERMAL, SITES)
#: Atoms are moved in so many of the crystals, those whose lattices fit best.
_REFINED = 8
#: Reflections are kept up to this share beyond the end of the scan: a cell may grow.
_BEYOND = 1.1
#: Preferred orientation is looked for in so many of the best fits, if none is better than the second
#: number, and only in those that are better than the third.
_TEXTURED, _GOOD, _HOPELESS = 5, 0.12, 0.85
#: It is believed if R falls to this share.
_BETTER = 0.9
#: Normals of planes that crystallites may lie on, in the conventional cell.
_AXES = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
#: Intensities are counted where they stand out of the noise by so many standard deviations.
_SEEN = 3.0


def fit_pattern(
    structures: Iterable[Any], pattern: Pattern, *, progress: bool | None = False
) -> list[PatternFit]:
    """Fits crystals to a powder pattern, each by itself.

    Of each crystal the numbers of the lattice that its symmetry leaves free are searched for, up to
    8 % in length, against a blurred scan; then they, the free coordinates of its atoms, zero shift,
    width and thermal motion are refined. How far these are expected to be off is taken into
    account, so that atoms do not wander. Free coordinates are refined in the eight crystals whose
    lattices fit best, and preferred orientation is looked for in the best fits of these.

    Args:
        structures: Candidates, pymatgen's or ASE's.
        pattern: From `read_pattern` or `simulate_pattern`.
        progress: Whether to show a bar; None shows one on a terminal.

    Returns:
        One for each, in the order of the structures.

    Raises:
        InputError: If the pattern has no peaks, or an entry is no ordered, periodic structure.
    """
    given = [as_structure(entry) for entry in entries_of(structures)]
    views = _Views(scan_of(pattern))
    shown = tqdm(
        given, desc="fits", unit=" crystals", disable=None if progress is None else not progress
    )
    found = _refine([_placed(structure, views) for structure in shown], views)
    _look_for_texture(found, views)
    pairs = enumerate(zip(given, found, strict=True))
    return [
        PatternFit(i, structure, 1.0, remark=one)
        if isinstance(one, str)
        else _said(i, structure, one, views)
        for i, (structure, one) in pairs
    ]


class _Views:
    """A scan and its views."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.coarse = View.of(scan, _COARSE[0])
        self.medium = View.of(scan, _MEDIUM[0])
        self.sharp = View.of(scan, 0.0)

    def beyond_noise(self, residual: float) -> float:
        """R without the share of the noise."""
        noise = min(self.scan.noise**2 * float((self.sharp.weights**2).sum()), 0.99)
        return float(np.sqrt(max(residual**2 - noise, 0.0) / (1 - noise)))


#: A model with the numbers that fit best.
_Fitted = tuple[Model, Outcome]


def _placed(structure: Structure, views: _Views) -> list[_Fitted] | str:
    """The best fits of the lattice of a crystal, or why there is none."""
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
    for strain in starts(strong, views.coarse, _PLACES):
        numbers = model.start()
        numbers[model.places[STRAIN]] = strain
        found.append(minimise(strong, views.coarse, numbers, (STRAIN,), *_COARSE_STEPS))
    found = _distinct(found, _COARSE[1])
    found = [minimise(strong, views.medium, f.numbers, (STRAIN,), *_COARSE_STEPS) for f in found]
    return [(model, outcome) for outcome in _distinct(found, _MEDIUM[1])]


def _refine(found: list[list[_Fitted] | str], views: _Views) -> list[_Fitted | str]:
    """The best fit of each crystal; atoms are moved in those whose lattice fits best."""
    best = sorted(one[0][1].cost for one in found if not isinstance(one, str))
    limit = best[min(len(best), _REFINED) - 1] if best else 0.0
    refined: list[_Fitted | str] = []
    for one in found:
        if isinstance(one, str):
            refined.append(one)
            continue
        steps = _FEW_STEPS if one[0][1].cost <= limit else _FEWEST_STEPS
        sharp = [(m, minimise(m, views.sharp, o.numbers, _LATTICE, steps)) for m, o in one]
        if one[0][1].cost <= limit:
            sharp = [(m, minimise(m, views.sharp, o.numbers, _ALL, _STEPS)) for m, o in sharp]
        refined.append(min(sharp, key=lambda pair: pair[1].cost))
    return refined


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


def _look_for_texture(found: list[_Fitted | str], views: _Views) -> None:
    """Replaces the best fits by such with preferred orientation where those are better."""
    places = [i for i, one in enumerate(found) if not isinstance(one, str)]

    def residual(i: int) -> float:
        return views.beyond_noise(found[i][1].residual)  # type: ignore[union-attr]

    best_first = sorted(places, key=residual)
    if not best_first or residual(best_first[0]) < _GOOD:
        return
    for i in best_first[:_TEXTURED]:
        if residual(i) > _HOPELESS:
            continue
        model, before = found[i]
        tried = [_with_texture(model, before, axis, views) for axis in _axes(model)]
        best = min(tried, key=lambda pair: pair[1].cost)
        if views.beyond_noise(best[1].residual) < _BETTER * residual(i):
            found[i] = best


def _with_texture(
    model: Model, start: Outcome, axis: tuple[int, int, int], views: _Views
) -> _Fitted:
    textured = replace(model, axis=axis)
    found = minimise(textured, views.sharp, start.numbers, (THERMAL, TEXTURE), _FEW_STEPS)
    kinds = (*_ALL, TEXTURE)
    return textured, minimise(textured, views.sharp, found.numbers, kinds, _FEW_STEPS)


def _axes(model: Model) -> list[tuple[int, int, int]]:
    """Normals that the symmetry tells apart."""
    kept: list[tuple[int, int, int]] = []
    reflections = model.reflections

    def direction(axis: tuple[int, int, int]) -> Floats:
        normal = normal_of(reflections.crystal, axis)
        found: Floats = normal / np.linalg.norm(normal)
        return found

    for axis in _AXES:
        images = reflections.turns @ direction(axis)
        if not any((np.abs(images @ direction(other)) > 1 - 1e-6).any() for other in kept):
            kept.append(axis)
    return kept


def _said(index: int, given: Structure, fitted: _Fitted, views: _Views) -> PatternFit:
    """What the fit of a crystal says."""
    model, outcome = fitted
    crystal, numbers = model.reflections.crystal, outcome.numbers
    lattice = model.reflections.lattice(numbers[model.places[STRAIN]])
    sites = crystal.free_numbers + numbers[model.places[SITES]]
    moved = SymmetricCrystal(crystal.scaffold, lattice, sites)
    structure = Structure(
        Lattice(lattice),
        [SYMBOLS[z] for z in moved.species.tolist()],
        moved.frac_coords,
        properties=dict(given.properties),
    )
    curves = _curves(model, outcome, views)
    net = curves.measured - curves.background
    seen = np.maximum(net, curves.calculated) > _SEEN * views.scan.noise
    both = np.minimum(np.maximum(net, 0), curves.calculated)[seen].sum()
    strength = float(np.exp(numbers[model.places[TEXTURE]][0]))
    return PatternFit(
        index=index,
        structure=structure,
        residual=views.beyond_noise(outcome.residual),
        explained=float(both / max(np.maximum(net, 0)[seen].sum(), 1e-12)),
        missing=float(1 - both / max(curves.calculated[seen].sum(), 1e-12)),
        volume_change=float(np.linalg.det(lattice) / np.linalg.det(crystal.lattice) - 1),
        zero_shift=float(numbers[model.places[SHIFT]][0]),
        width=float(views.scan.width * np.exp(numbers[model.places[WIDTH]][0])),
        scale=outcome.scale,
        thermal=float(numbers[model.places[THERMAL]][0]),
        texture=None if model.axis is None else Texture(model.axis, strength),
        free=(len(model.reflections.strains), crystal.scaffold.free),
        curves=curves,
    )


def _curves(model: Model, outcome: Outcome, views: _Views) -> Curves:
    view, scan = views.sharp, views.scan
    values, _ = model.pattern(outcome.numbers, view)
    calculated = outcome.scale * values
    rest = view.weights * (scan.net - calculated)
    slow = view.slow @ (view.slow.T @ rest) / view.weights
    areas = model.intensities(outcome.numbers)
    angles = two_theta_of(areas.inverse_d, scan.pattern.radiation.wavelength)
    inside = (angles >= scan.two_theta[0]) & (angles <= scan.two_theta[-1])
    order = np.flatnonzero(inside)[np.argsort(angles[inside])]
    shares = areas.areas[order] / max(float(areas.areas[order].max(initial=0)), 1e-300)
    return Curves(
        scan.two_theta,
        scan.net + scan.background,
        scan.background + slow,
        calculated,
        np.stack([angles[order], shares], 1),
        model.reflections.hkl[order],
    )
