"""Templates of new crystals: how often each space group comes."""

import numpy as np
import pytest
from textbook import textbook_library

from ase_crysdiff.sampling.loading import prototypes
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.templates import Templates

OXIDES = DeNovo(chemical_system=frozenset({12, 8}))


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    textbook_library(folder)
    return prototypes(folder).templates


def weights(known, odds, task, group=None):
    """Of every crystal of the library, as a share."""
    templates = Templates(known.library, known.usual, known.chance, odds=odds)
    found = np.diff(templates.sums(task, group, None), prepend=0)
    return found / found.sum()


@pytest.mark.parametrize("task", [DeNovo(), OXIDES])
def test_templates_of_a_group_come_more_often_by_its_odds(known, task):
    plain, odd = (weights(known, odds, task) for odds in (None, {225: 3.0, 136: 0.5}))
    factors = np.select([known.library.group == 225, known.library.group == 136], [3.0, 0.5], 1.0)
    assert len(set(factors[plain > 0])) > 1
    np.testing.assert_allclose(odd, factors * plain / (factors * plain).sum(), rtol=1e-9)


def test_odds_change_nothing_where_the_group_is_given(known):
    plain, odd = (weights(known, odds, DeNovo(), 225) for odds in (None, {225: 3.0}))
    np.testing.assert_allclose(odd, plain, rtol=1e-9)
