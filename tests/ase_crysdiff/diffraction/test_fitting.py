"""Crystals that are off find back to what was measured, and wrong ones do not."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from ase_crysdiff.diffraction.fitting import fit_pattern
from ase_crysdiff.diffraction.orientation import Texture
from ase_crysdiff.diffraction.ranking import rank_by_pattern
from ase_crysdiff.diffraction.reading import read_pattern
from ase_crysdiff.diffraction.simulation import simulate_pattern
from ase_crysdiff.diffraction.wavelengths import other_wavelength
from ase_crysdiff.errors import InputError, ShapeError
from ase_crysdiff.testing.crystals import prototypes


def rutile(a=4.594, c=2.959, x=0.305, metal="Ti"):
    return Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(a, c), [metal, "O"], [[0, 0, 0], [x, x, 0]]
    )


def anatase(a=3.784, c=9.515):
    return Structure.from_spacegroup(
        "I4_1/amd", Lattice.tetragonal(a, c), ["Ti", "O"], [[0, 0, 0], [0, 0, 0.208]]
    )


def zirconia(strain=0.0, shift=0.0):
    lattice = Lattice.from_parameters(
        5.15 * (1 + strain),
        5.21 * (1 - strain),
        5.32 * (1 + 2 * strain),
        90,
        99.2 + 60 * strain,
        90,
    )
    sites = np.array([[0.2754, 0.0395, 0.2083], [0.07, 0.332, 0.345], [0.45, 0.757, 0.479]])
    sites += shift * np.array([[1, -1, 1], [-1, 1, 1], [1, 1, -1]])
    return Structure.from_spacegroup("P2_1/c", lattice, ["Zr", "O", "O"], sites)


def measured(structure, seed=0, **options):
    settings = {"width": 0.2, "noise": 0.01, "background": 0.2}
    return simulate_pattern(structure, **settings | options, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("a", [4.35, 4.45, 4.7, 4.85])
@pytest.mark.parametrize("c", [2.85, 3.05])
def test_lattice_and_coordinates_are_found(a, c):
    (fit,) = fit_pattern([rutile(a, c, 0.29)], measured(rutile()))
    assert fit.residual < 0.06
    assert fit.explained > 0.9
    assert fit.missing < 0.05
    assert fit.free == (2, 1)
    lengths = sorted(fit.structure.lattice.abc)
    assert lengths == pytest.approx([2.959, 4.594, 4.594], rel=3e-4)
    oxygen = min(site.frac_coords[0] % 1 for site in fit.structure if site.specie.symbol == "O")
    assert min(oxygen % 0.5, 0.5 - oxygen % 0.5) == pytest.approx(0.195, abs=5e-3)
    assert fit.width == pytest.approx(0.2, rel=0.1)
    assert fit.volume_change == pytest.approx(4.594**2 * 2.959 / (a**2 * c) - 1, abs=1e-3)


@pytest.mark.parametrize("strain", [-0.02, 0.015, 0.025])
def test_a_monoclinic_cell_is_found(strain):
    (fit,) = fit_pattern([zirconia(strain, 0.01)], measured(zirconia()))
    assert fit.free == (4, 9)
    assert fit.structure.volume == pytest.approx(zirconia().volume, rel=2e-3)
    assert fit.residual < 0.15


def test_zero_shift_and_doublet_are_part_of_the_fit():
    scan = measured(rutile(), zero_shift=0.08, wavelength="CuKa")
    (fit,) = fit_pattern([rutile(4.7, 2.9)], scan)
    assert fit.zero_shift == pytest.approx(0.08, abs=0.01)
    assert fit.residual < 0.06
    assert sorted(fit.structure.lattice.abc)[0] == pytest.approx(2.959, rel=1e-3)


def test_the_right_crystal_comes_first_and_the_verdict_says_so():
    candidates = [anatase(), prototypes()["NaCl"], rutile(4.7, 2.9, 0.29)]
    ranking = rank_by_pattern(fit_pattern(candidates, measured(rutile())))
    assert ranking.fits[0].index == 2
    assert ranking.fits_pattern
    assert "fits the pattern" in ranking.verdict
    assert ranking.fits[0].remark.startswith("fits")
    assert list(ranking.scores) == sorted(ranking.scores)


def test_nothing_fits_is_said():
    ranking = rank_by_pattern(fit_pattern([anatase(), prototypes()["SrTiO3"]], measured(rutile())))
    assert not ranking.fits_pattern
    assert ranking.verdict.startswith("Nothing fits")
    assert all(fit.remark == "does not fit" for fit in ranking.fits)


def test_another_wavelength_than_stated_fits_nothing():
    scan = measured(rutile(), wavelength="MoKa1", two_theta=(5.0, 50.0))
    read = read_pattern((scan.two_theta, scan.intensity), 1.5406)
    ranking = rank_by_pattern(fit_pattern([rutile()], read))
    assert not ranking.fits_pattern
    assert "wavelength" in ranking.verdict
    assert other_wavelength([anatase(), rutile()], read) == "MoKa1"
    assert other_wavelength([anatase()], measured(rutile())) is None


def test_impurity_and_preferred_orientation_are_tolerated():
    scan = measured(
        rutile(),
        impurity=prototypes()["NaCl"],
        impurity_share=0.1,
        texture=Texture((1, 1, 0), 0.7),
    )
    ranking = rank_by_pattern(fit_pattern([anatase(), rutile(4.7, 2.9, 0.29)], scan))
    best = ranking.fits[0]
    assert best.index == 1
    assert ranking.fits_pattern
    assert best.texture is not None
    assert best.texture.axis == (1, 1, 0)
    assert best.texture.strength == pytest.approx(0.7, abs=0.05)
    assert sorted(best.structure.lattice.abc)[0] == pytest.approx(2.959, rel=1e-3)


def test_a_list_of_distances_is_enough():
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    lines = XRDCalculator(1.5406).get_pattern(rutile(), two_theta_range=(10, 80))
    strong = [(d, i) for d, i in zip(lines.d_hkls, lines.y, strict=True) if i > 2]
    ranking = rank_by_pattern(fit_pattern([anatase(), rutile(4.7, 2.9)], read_pattern(strong)))
    assert ranking.fits[0].index == 1
    assert ranking.fits_pattern


#: Distances in Å and intensities as measured: National Bureau of Standards, Monograph 25, sections
#: 7 (rutile, anatase) and 18 (quartz).
RUTILE = [(3.247, 100), (2.487, 50), (2.297, 8), (2.188, 25), (2.054, 10), (1.6874, 60)]
RUTILE += [(1.6237, 20), (1.4797, 10), (1.4528, 10), (1.3598, 20), (1.3465, 12)]
ANATASE = [(3.52, 100), (2.431, 10), (2.378, 20), (2.332, 10), (1.892, 35), (1.6999, 20)]
ANATASE += [(1.6665, 20), (1.493, 4), (1.4808, 14), (1.3641, 6), (1.3378, 6)]
QUARTZ = [(4.257, 22), (3.342, 100), (2.457, 8), (2.282, 8), (2.237, 4), (2.127, 6), (1.9792, 4)]
QUARTZ += [
    (1.8179, 14),
    (1.6719, 4),
    (1.5418, 9),
    (1.4536, 1),
    (1.382, 6),
    (1.3752, 7),
    (1.3718, 8),
]


@pytest.mark.parametrize(
    ("lines", "index", "edge"), [(RUTILE, 0, 2.959), (ANATASE, 1, 3.785), (QUARTZ, 2, 4.913)]
)
def test_measured_lines_of_minerals_are_recognised(lines, index, edge):
    quartz = Structure.from_spacegroup(
        "P3_221",
        Lattice.hexagonal(5.05, 5.4),
        ["Si", "O"],
        [[0.46, 0, 0], [0.41, 0.27, 0.12]],
    )
    candidates = [rutile(4.7, 2.9, 0.31), anatase(3.85, 9.4), quartz]
    ranking = rank_by_pattern(fit_pattern(candidates, read_pattern(lines)))
    assert ranking.fits[0].index == index
    assert ranking.fits_pattern
    conventional = ranking.fits[0].structure.get_primitive_structure()
    matrix = SpacegroupAnalyzer(conventional, 0.05).get_conventional_standard_structure()
    assert min(matrix.lattice.abc) == pytest.approx(edge, abs=0.004)
    assert not any(fit.residual < 2 * ranking.fits[0].residual for fit in ranking.fits[1:])


def test_energy_and_prior_decide_between_equal_fits():
    fits = fit_pattern([rutile(), rutile()], measured(rutile()))
    assert [f.index for f in rank_by_pattern(fits, [-1.0, -1.1]).fits] == [1, 0]
    assert [f.index for f in rank_by_pattern(fits, [None, -1.1]).fits] == [1, 0]
    assert [f.index for f in rank_by_pattern(fits, None, [3.0, 0.0]).fits] == [1, 0]
    assert [f.index for f in rank_by_pattern(fits).fits] == [0, 1]
    wrong = fit_pattern([anatase(), rutile()], measured(rutile()))
    assert rank_by_pattern(wrong, [-9.0, -1.0], [0.0, 20.0]).fits[0].index == 1
    with pytest.raises(ShapeError, match="energies has 1 values for 2 fits"):
        rank_by_pattern(fits, [-1.0])


def test_what_cannot_be_fitted_comes_last_with_its_reason():
    close = Structure(Lattice.cubic(3), ["Na", "Cl"], [[0, 0, 0], [0.01, 0, 0]])
    fits = fit_pattern([close, rutile()], measured(rutile()))
    assert fits[0].curves is None
    assert "no sound crystal" in fits[0].remark
    ranking = rank_by_pattern(fits)
    assert ranking.fits[-1].index == 0
    assert ranking.fits[-1].remark
    with pytest.raises(InputError):
        fit_pattern(["rutile"], measured(rutile()))


def test_the_same_pattern_gives_the_same_fit():
    first, again = (fit_pattern([rutile(4.7, 2.9)], measured(rutile()))[0] for _ in range(2))
    assert first.residual == again.residual
    assert np.array_equal(first.structure.lattice.matrix, again.structure.lattice.matrix)


def test_simulated_noise_needs_a_generator():
    with pytest.raises(InputError, match="needs a generator"):
        simulate_pattern(rutile(), noise=0.01)
    with pytest.raises(InputError, match="has no pattern up to|no reflection in this range"):
        simulate_pattern(rutile(), two_theta=(5.0, 10.0))
