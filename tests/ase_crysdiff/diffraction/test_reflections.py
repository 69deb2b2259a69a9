"""Positions, intensities and gradients against pymatgen and finite differences."""

import numpy as np
import pytest
from pymatgen.analysis.diffraction.xrd import XRDCalculator
from pymatgen.core import Lattice, Structure

from ase_crysdiff.diffraction.model import Model
from ase_crysdiff.diffraction.radiation import radiation, two_theta_of
from ase_crysdiff.diffraction.reflections import Reflections, lorentz_polarisation
from ase_crysdiff.diffraction.scan import scan_of
from ase_crysdiff.diffraction.simulation import simulate_pattern
from ase_crysdiff.diffraction.view import View
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.testing.crystals import prototypes

RUTILE = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
QUARTZ = Structure.from_spacegroup(
    "P3_221",
    Lattice.hexagonal(4.913, 5.405),
    ["Si", "O"],
    [[0.4697, 0, 0], [0.4133, 0.2672, 0.1188]],
)
MONOCLINIC = Structure.from_spacegroup(
    "P2_1/c",
    Lattice.from_parameters(5.15, 5.21, 5.32, 90, 99.2, 90),
    ["Zr", "O", "O"],
    [[0.2754, 0.0395, 0.2083], [0.07, 0.332, 0.345], [0.45, 0.757, 0.479]],
)
CRYSTALS = {**prototypes(), "TiO2": RUTILE, "SiO2": QUARTZ, "ZrO2": MONOCLINIC}


@pytest.mark.parametrize("name", CRYSTALS)
def test_positions_and_intensities_are_those_of_pymatgen(name):
    crystal = find_symmetric(CRYSTALS[name], 1e-3)
    reflections = Reflections.of(crystal, 0.9)
    inverse_d = reflections.inverse_d(np.zeros(len(reflections.strains)))
    squared, _ = reflections.structure_factors(inverse_d, crystal.free_numbers)
    angles = two_theta_of(inverse_d, 1.5406)
    areas = reflections.multiplicity * squared * lorentz_polarisation(np.radians(angles) / 2)
    theirs = XRDCalculator(1.5406).get_pattern(CRYSTALS[name], False, (0.5, 85))
    for angle, area in zip(theirs.x, theirs.y, strict=True):
        assert areas[np.abs(angles - angle) < 1e-4].sum() == pytest.approx(area, rel=1e-5)
    inside = areas[(angles > 0.5) & (angles < 85)].sum()
    assert inside == pytest.approx(np.sum(theirs.y), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "free"), [("NaCl", 1), ("TiO2", 2), ("SiO2", 2), ("ZrO2", 4), ("chain", 6)]
)
def test_strains_are_those_that_keep_the_symmetry(name, free):
    crystal = find_symmetric(CRYSTALS[name], 1e-3)
    reflections = Reflections.of(crystal, 0.5)
    assert len(reflections.strains) == free == crystal.operations.free_lattice_numbers
    rng = np.random.default_rng(0)
    strain = 0.03 * rng.standard_normal(free)
    rows = reflections.lattice(strain)
    gram = rows @ rows.T
    assert np.allclose(crystal.operations.average_gram(gram), gram)
    # The positions are those of the strained cell.
    lengths = np.linalg.norm(reflections.hkl @ np.linalg.inv(rows).T, axis=1)
    assert np.allclose(reflections.inverse_d(strain), lengths)
    first = np.zeros(free)
    first[0] = 0.01 * np.sqrt(3)
    assert np.allclose(reflections.lattice(first), crystal.lattice * np.exp(0.01))


def test_families_are_closed_under_the_laue_group():
    reflections = Reflections.of(find_symmetric(QUARTZ, 1e-3), 0.8)
    members = {tuple(m) for m in reflections.members.tolist()}
    assert len(members) == len(reflections.members) == reflections.multiplicity.sum()
    assert all(tuple(-x for x in m) in members for m in members)
    assert set(np.unique(reflections.multiplicity)) <= {2, 6, 12}
    some = reflections.only(np.array([1, 4, 5]))
    assert np.array_equal(some.hkl, reflections.hkl[[1, 4, 5]])
    assert np.array_equal(some.multiplicity, reflections.multiplicity[[1, 4, 5]])


@pytest.mark.parametrize("wavelength", [1.5406, "CuKa"])
@pytest.mark.parametrize("name", ["TiO2", "SiO2", "ZrO2"])
def test_gradients_are_those_of_differences(name, wavelength):
    made = simulate_pattern(CRYSTALS[name], wavelength=wavelength, width=0.2)
    view = View.of(scan_of(made), 0.3)
    crystal = find_symmetric(CRYSTALS[name], 1e-3)
    used = radiation(wavelength)
    model = Model(Reflections.of(crystal, made.largest_inverse_d * 1.1), used, (1, 0, 1))
    names = model.kinds(*model.places)
    assert names == tuple(model.places)
    numbers = 0.3 * model.expected * np.random.default_rng(0).standard_normal(len(model.expected))
    # Strains that do not commute with the first have another derivative; intensities hardly change.
    numbers[model.places["strain"]] = 0
    _, gradient = model.pattern(numbers, view, names)
    for i, size in enumerate(model.expected):
        step = np.zeros(len(numbers))
        step[i] = 1e-5 * size
        up, _ = model.pattern(numbers + step, view)
        down, _ = model.pattern(numbers - step, view)
        difference = (up - down) / (2e-5 * size)
        error = np.linalg.norm(difference - gradient[:, i]) / np.linalg.norm(difference)
        strain = model.places["strain"]
        assert error < (0.05 if strain.start <= i < strain.stop else 1e-5)
