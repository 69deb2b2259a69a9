"""Scaffolds drawn without a model."""

import math
from collections import Counter

import numpy as np
import pytest

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.drawing import (
    FREE_WEIGHT,
    SITE_WEIGHT,
    draw_letters,
    draw_scaffold,
    holds,
)
from ase_crysdiff.symmetry.feasible import number_of_scaffolds
from ase_crysdiff.symmetry.scaffold import Scaffold

TITANIA = {22: 2, 8: 4}


def test_every_scaffold_of_a_group_is_drawn_as_often_as_its_weight_says():
    draw = np.random.default_rng(0).random
    found = Counter(str(draw_scaffold(136, TITANIA, draw)) for _ in range(2000))
    assert len(found) == number_of_scaffolds(136, [2, 4]) == 10
    weights = {}
    for text in found:
        scaffold = Scaffold.parse(text)
        weights[text] = math.exp(SITE_WEIGHT * len(scaffold.sites) + FREE_WEIGHT * scaffold.free)
    for text, weight in weights.items():
        share = weight / sum(weights.values())
        error = math.sqrt(share * (1 - share) / 2000)
        assert abs(found[text] / 2000 - share) < 4 * error  # n = 2000
    assert weights["P4_2/mnm: Ti a, O f"] == max(weights.values())


@pytest.mark.parametrize("group", [1, 2, 5, 14, 38, 62, 88, 122, 146, 166, 194, 216, 225, 227])
def test_atoms_and_sites_are_those_asked_for(group):
    draw = np.random.default_rng(group).random
    for counts in ({8: 12, 3: 4}, {8: 6, 3: 2, 26: 4}):
        if not holds(group, list(counts.values())):
            continue
        for _ in range(5):
            assert draw_scaffold(group, counts, draw).counts == counts
    for sites in range(1, 5):
        if holds(group, [12], sites):
            assert len(draw_letters(group, [12], draw, sites)[0]) == sites


def test_what_a_group_cannot_hold_is_refused():
    with pytest.raises(InputError, match="Pnma cannot hold 1 \\+ 2 atoms"):
        draw_scaffold(62, {22: 1, 8: 2}, lambda: 0.5)
    assert not holds(225, [1], 2)
    assert holds(225, [2], 2)
