"""Energies of the elements by least squares, with and without what pulls and what is left out."""

import numpy as np
import pytest
import torch

from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.element_references import RIDGE, least_squares_references
from ase_crysdiff.recipes.dao_p import atom_energies

TRUTH = np.array([-1.9, -4.9, -8.4])


@pytest.fixture
def fractions():
    return np.random.default_rng(0).dirichlet(np.ones(3), 40)


def test_exact_energies_are_found_to_the_digit(fractions):
    found = least_squares_references(fractions, fractions @ TRUTH)
    np.testing.assert_allclose(found, TRUTH, rtol=1e-12)


def test_elements_that_do_not_occur_have_no_reference(fractions):
    padded = np.pad(fractions, ((0, 0), (1, 1)))
    for ridge in (0.0, RIDGE):
        found = least_squares_references(padded, fractions @ TRUTH, ridge)
        assert np.isnan(found).tolist() == [True, False, False, False, True]


def test_the_ridge_gives_elements_that_always_occur_together_the_mean():
    together = np.full((8, 2), 0.5)
    found = least_squares_references(together, np.full(8, -3.0), RIDGE)
    np.testing.assert_allclose(found, [-3.0, -3.0], rtol=1e-9)


def test_crystals_that_the_first_fit_misses_do_not_count(fractions):
    energies = fractions @ TRUTH
    energies[0] += 2
    assert np.abs(least_squares_references(fractions, energies) - TRUTH).max() > 0.05
    found = least_squares_references(fractions, energies, outliers=0.3)
    np.testing.assert_allclose(found, TRUTH, rtol=1e-9)


def test_atoms_of_a_potential_are_fitted_to_unperturbed_crystals():
    """Two crystals of known energies; a rattled copy and one with another element are far off."""
    species = torch.tensor([11, 11, 11, 17, 11, 17, 19, 17])
    cells = 4 * torch.eye(3).expand(4, 3, 3)
    sets = Configurations(
        torch.zeros(8, 3), cells, torch.ones(4, 3, dtype=torch.bool), species, torch.full((4,), 2)
    )
    kind = [
        Perturbation.UNPERTURBED,
        Perturbation.UNPERTURBED,
        Perturbation.RATTLED,
        Perturbation.SUBSTITUTED,
    ]
    energy = torch.tensor([-2.0, -5.0, 50.0, 70.0], dtype=torch.float64)
    zeros = torch.zeros(8, 3), torch.zeros(4, 3, 3)
    found = atom_energies(Labels(sets, energy, *zeros, torch.tensor(kind)))
    assert found[11] == pytest.approx(-1.0, abs=1e-3)
    assert found[17] == pytest.approx(-4.0, abs=2e-3)
    assert found[19] == pytest.approx(-1.75)  # the mean of the unperturbed ones, per atom
    assert found[26] == 0
