"""Templates of new crystals: how often each space group comes."""

import numpy as np
import pytest
from textbook import textbook_library

from ase_crysdiff.sampling.loading import prototypes
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.templates import Templates


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    textbook_library(folder)
    return prototypes(folder)


def shares(sampler, space_groups, task=None):
    """Probability of each space group of a template."""
    known = sampler.templates
    templates = Templates(known.library, 20, known.chance, space_groups=space_groups)
    weights = np.diff(templates.sums(task or DeNovo(), None, None), prepend=0)
    found = np.bincount(known.library.group, weights, minlength=231)
    return found / found.sum()


def test_templates_have_the_space_groups_that_are_wished(library):
    """But for a small share that they have as they come, so that none is out of reach."""
    own = shares(library, None)
    found = shares(library, {136: 3, 221: 1})
    expected = 0.05 * own
    expected[136] += 0.95 * 3 / 4
    expected[221] += 0.95 * 1 / 4
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found[141] > 0


def test_wished_groups_leave_the_odds_within_a_group(library):
    """With a wish for elements, too, where only some crystals may be templates."""
    library_groups = library.library.group
    task = DeNovo(chemical_system=frozenset({12, 8}))
    known = library.templates
    plain = np.diff(known.sums(task, None, None), prepend=0)
    weighed = Templates(known.library, 20, known.chance, space_groups={225: 1, 221: 4})
    weights = np.diff(weighed.sums(task, None, None), prepend=0)
    for group in (221, 225):
        rows = (library_groups == group) & (plain > 0)
        assert rows.any()
        ratios = weights[rows] / plain[rows]
        np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)
    assert ((weights > 0) == (plain > 0)).all()


def test_groups_that_the_library_lacks_take_nothing_from_the_others(library):
    found = shares(library, {136: 1, 221: 1, 62: 8})
    assert found[62] == 0
    assert found[136] / found[221] == pytest.approx(1, rel=0.5)
    assert found.sum() == pytest.approx(1)
