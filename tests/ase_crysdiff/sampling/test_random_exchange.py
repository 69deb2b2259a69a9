"""The row of random exchange: known prototypes with near elements, from streams alone."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import torch

from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.crystal.volume import volume_per_atom
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.prototypes import PrototypeLibrary, prototype_novelty
from ase_crysdiff.randomness import Streams
from ase_crysdiff.recipes.random_exchange import RandomExchange
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.testing.crystals import prototypes

NAMES = ("NaCl", "SrTiO3", "MoS2")


@dataclass
class Few:
    """Three crystals; elements are the nearer the nearer their numbers."""

    @cached_property
    def crystals(self):
        return [find_symmetric(prototypes()[name]) for name in NAMES]

    @cached_property
    def distance(self):
        numbers = np.arange(len(SYMBOLS))
        return 0.1 * np.abs(numbers[:, None] - numbers[None])

    @property
    def num_atoms(self):
        return np.array([c.scaffold.num_atoms for c in self.crystals])

    def crystal(self, row):
        return self.crystals[row]


def draw(indices, seed=0, **options):
    return RandomExchange(Few(), **options).sample(SampleRequest(), Streams(seed, tuple(indices)))


def test_prototypes_are_those_of_the_library():
    structures = to_structures(draw(range(24)).crystals)
    library = PrototypeLibrary.of("few", [c.scaffold.prototype for c in Few().crystals])
    assert prototype_novelty(structures, library).value == 0
    assert len({s.composition.reduced_formula for s in structures}) > 12


def test_elements_stay_different_and_one_is_always_new():
    sampler = RandomExchange(Few(), temperature=10.0)
    generator = np.random.default_rng(0)
    for _ in range(200):
        found = sampler.exchanged([38, 22, 8], generator.random((3, 2)))
        assert len(set(found.values())) == 3
        assert set(found) == {38, 22, 8}
        changed = {old: new for old, new in found.items() if old != new}
        assert changed
        assert not set(changed.values()) & {38, 22, 8}


def test_near_elements_come_more_often():
    """By exp(-distance / temperature): among the two next neighbours and those after them."""
    sampler = RandomExchange(Few(), temperature=0.1)
    generator = np.random.default_rng(0)
    found = Counter(
        abs(sampler.exchanged([40], generator.random((1, 2)))[40] - 40) for _ in range(4000)
    )
    assert found[1] / found[2] == pytest.approx(np.e, rel=0.15)
    assert found[2] / found[3] == pytest.approx(np.e, rel=0.25)


def test_cells_grow_with_their_elements():
    for crystal, template in zip(draw(range(8)).crystals.split(), _templates(8), strict=True):
        (structure,) = to_structures(crystal)
        expected = volume_per_atom(structure.composition.as_dict())
        before = volume_per_atom({SYMBOLS[z]: n for z, n in template.scaffold.counts.items()})
        ratio = structure.volume / abs(np.linalg.det(template.lattice))
        assert ratio == pytest.approx(expected / before, rel=1e-4)


def _templates(count):
    """The crystals that draws came from, by their size."""
    few = {c.scaffold.num_atoms: c for c in Few().crystals}
    return [few[int(n)] for n in draw(range(count)).crystals.num_atoms]


def test_draws_depend_on_seed_and_number_only():
    whole = draw(range(6)).crystals.split()
    for i, alone in ((4, draw([4])), (1, draw([1, 5]))):
        assert torch.equal(alone.crystals.split()[0].species, whole[i].species)
        assert torch.equal(alone.crystals.split()[0].lattice, whole[i].lattice)
    others = draw(range(6), seed=1).crystals.split()
    assert any(not torch.equal(a.species, b.species) for a, b in zip(whole, others, strict=True))


def test_large_crystals_are_left_out():
    assert set(draw(range(12), max_atoms=2).crystals.num_atoms.tolist()) == {2}
    with pytest.raises(InputError, match="at most 1 atoms"):
        RandomExchange(Few(), max_atoms=1)
    with pytest.raises(InputError, match="temperature must be above 0"):
        RandomExchange(Few(), temperature=0.0)
