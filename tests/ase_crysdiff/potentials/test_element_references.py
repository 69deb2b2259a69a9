"""Energies of the elements by least squares, with and without what pulls and what is left out."""

import numpy as np
import pytest

from ase_crysdiff.potentials.element_references import RIDGE, least_squares_references

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
