"""Coverage of known forms."""

import numpy as np
import pytest

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.polymorphs import (
    assignable_forms,
    forms_of_compositions,
    nearest_forms,
    polymorph_coverage,
)
from ase_crysdiff.testing.crystals import prototypes

NO = np.inf


def table(*rows):
    return np.array(rows, dtype=float)


def test_a_sample_counts_for_the_form_that_it_is_nearest_to():
    one = table([0.05, 0.43])
    assert nearest_forms(one) == {0}
    assert assignable_forms(one) == 1
    both = table([0.05, 0.43], [0.1, 0.3])  # two samples of one form, both loosely like the other
    assert nearest_forms(both) == {0}
    assert assignable_forms(both) == 2
    assert nearest_forms(table([NO, NO], [NO, 0.2])) == {1}
    assert nearest_forms(table([NO, NO])) == set()
    assert assignable_forms(table([NO, NO])) == 0


def test_assignment_is_the_largest_and_uses_no_sample_twice():
    # Taken greedily, sample 0 would stand for form 0 and leave sample 1 with nothing.
    assert assignable_forms(table([0.1, 0.2, NO], [0.1, NO, NO], [NO, NO, NO])) == 2
    rng = np.random.default_rng(0)
    for _ in range(50):
        distances = np.where(rng.random((5, 4)) < 0.4, rng.random((5, 4)), NO)
        assert len(nearest_forms(distances)) <= assignable_forms(distances) <= 4


def test_coverage_counts_compositions_and_shares():
    tables = [
        table([0.1, NO, 0.2], [NO, NO, 0.1]),
        table([0.1, NO], [NO, 0.2]),
        table([NO, NO], [NO, 0.2]),
    ]
    found = polymorph_coverage(tables)
    assert found["full_coverage"].value == pytest.approx(1 / 3)
    assert found["mean_coverage"].value == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert found["full_coverage"].per_structure == (False, True, False)
    assert found["full_coverage (2 forms)"].value == 0.5
    assert found["full_coverage (3 forms)"].value == 0
    assert found["full_coverage_assigned"].value >= found["full_coverage"].value
    assert found["full_coverage"].settings["forms"] == {3: 1, 2: 2}
    with pytest.raises(InputError, match="at least one composition"):
        polymorph_coverage([])


def test_equal_structures_are_one_form():
    salt = prototypes()["NaCl"]
    other = salt.copy()
    other.translate_sites([1], [-0.25, -0.25, -0.25])  # zinc blende
    known = [prototypes()["Cu"], salt, salt * (1, 1, 2), other, prototypes()["SrTiO3"]]
    assert forms_of_compositions(known) == [[1, 3]]
    assert forms_of_compositions(known, (1,)) == [[0], [4]]
    assert forms_of_compositions(known, (3,)) == []
