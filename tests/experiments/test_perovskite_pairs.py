"""Which crystal of a pair a draw is like, and which pairs are asked for."""

import importlib.util
from pathlib import Path

import numpy as np
from pymatgen.core import Element, Structure

from pymatgen_ext import StructureSampler

SCRIPT = Path(__file__).parents[2] / "experiments" / "perovskite_pairs.py"
specification = importlib.util.spec_from_file_location("perovskite_pairs", SCRIPT)
experiment = importlib.util.module_from_spec(specification)
specification.loader.exec_module(experiment)


def exchanged(structure: Structure, first: str, second: str) -> Structure:
    """With two elements in each other's places."""
    other = structure.copy()
    other.replace_species({first: Element(second), second: Element(first)})
    return other


def test_a_draw_counts_for_the_crystal_that_it_is_like():
    sampler, given = StructureSampler("crysbfn"), []
    ends_of = {"Sr1Ti1O3": ("Sr", "Ti"), "K1Nb1O3": ("K", "Nb")}
    for seed, (formula, ends) in enumerate(ends_of.items()):
        (drawn,) = sampler.sample(1, composition=formula, seed=seed, steps=10, redraws=0)
        given.append((drawn, exchanged(drawn, *ends)))
    turned = [given[0], given[1][::-1]]
    assert experiment.outcomes(sampler, turned, 10) == {
        "the one that is asked for": 1,
        "the other one": 1,
    }


def test_pairs_have_one_known_crystal_of_the_composition():
    cubic = [[0, 0, 0], [0.5, 0.5, 0.5]]
    salt, fluoride, oxide = (
        Structure(3.0 * np.eye(3), [a, b], cubic)
        for a, b in (("Na", "Cl"), ("Li", "F"), ("Mg", "O"))
    )
    known = [salt, exchanged(salt, "Na", "Cl"), oxide]
    found = experiment.pairs(known, [salt, fluoride, oxide, oxide], 1)
    assert [(one.formula, other.formula) for one, other in found] == [("Mg1 O1", "Mg1 O1")]
    assert len(experiment.pairs(known, [salt, fluoride, oxide, oxide], 9)) == 2
