"""Crystals fitted to a powder pattern."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import as_structure, entries_of
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.diffraction.fit import Outcome
from ase_crysdiff.diffraction.model import SHIFT, SITES, STRAIN, TEXTURE, THERMAL, WIDTH, Model
from ase_crysdiff.diffraction.orientation import Texture
from ase_crysdiff.diffraction.pattern import Pattern
from ase_crysdiff.diffraction.placing import Fitted, placed, refined
from ase_crysdiff.diffraction.radiation import two_theta_of
from ase_crysdiff.diffraction.results import Curves, PatternFit
from ase_crysdiff.diffraction.scan import scan_of
from ase_crysdiff.diffraction.texture import look_for_texture
from ase_crysdiff.diffraction.view import Views
from ase_crysdiff.progress import tqdm
from ase_crysdiff.symmetry.crystal import SymmetricCrystal

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
    views = Views.of(scan_of(pattern))
    disable = None if progress is None else not progress
    shown = tqdm(given, desc="fits", unit=" crystals", disable=disable)
    found = refined([placed(structure, views) for structure in shown], views)
    look_for_texture(found, views)
    return [
        PatternFit(i, structure, 1.0, remark=one)
        if isinstance(one, str)
        else _said(i, structure, one, views)
        for i, (structure, one) in enumerate(zip(given, found, strict=True))
    ]


def _said(index: int, given: Structure, fitted: Fitted, views: Views) -> PatternFit:
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


def _curves(model: Model, outcome: Outcome, views: Views) -> Curves:
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
