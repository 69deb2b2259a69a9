"""Scaffolds from a model, geometry from another: symmetric whatever both have learnt."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from textbook import textbook_library

from ase_crysdiff.conditions.closest_approach import ClosestApproach
from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.models.card import Card
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.decoding import ScaffoldDecoder
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.loading import load_sampler, prototypes
from ase_crysdiff.sampling.proposals import Proposals
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.weighing import Weighing
from ase_crysdiff.sampling.wyckoff_sampler import WyckoffSampler
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import space_group

ROCK_SALT = ((12, 1), (8, 1))


@pytest.fixture(scope="module")
def sampler(toy_csp, tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    textbook_library(folder)
    torch.random.default_generator.manual_seed(0)
    decoder = ScaffoldDecoder(ScaffoldModel(hidden=32, layers=1, heads=2).eval())
    config = {"recipe": "wyckoff", "kind": "sampler", "max_atoms": 20, "sizes": {"2": 3, "4": 1}}
    config["properties"] = ["energy_above_hull"]
    card = Card("wyckoff", config, None, {}, {}, tuple(range(1, 95)), "MIT", "0" * 64)
    known = prototypes(folder)
    proposals = Proposals(known.library, known.vote, decoder, Weighing(), {2: 3, 4: 1})
    return WyckoffSampler(proposals, card, load_sampler("dao-g", toy_csp), known)


def check(found, count):
    texts = [text for text in found.properties["scaffold"] if text]
    crystals = [c for c in found.crystals.split() if len(c.species)]
    assert len(texts) == len(crystals) == count
    for text, structure in zip(texts, to_structures(found.crystals.cat(crystals)), strict=True):
        scaffold = Scaffold.parse(text)
        assert Counter(s.specie.Z for s in structure) == scaffold.counts
        reached = find_symmetric(structure, 1e-3).scaffold.space_group
        assert len(reached.rotations) >= len(scaffold.space_group.rotations)


def test_crystals_of_a_composition_have_the_symmetry_of_their_scaffold(sampler):
    for units in (1, 2):
        request = SampleRequest(task=CSP(composition=ROCK_SALT, formula_units=(units,)), steps=9)
        found = sampler.sample(request, Streams(0, tuple(range(12))))
        check(found, 12)
        assert set(found.crystals.num_atoms.tolist()) == {2 * units}
        assert found.properties["rank"] == list(range(12))


def test_known_structures_come_first_and_templates_give_the_geometry(sampler):
    task = CSP(composition=ROCK_SALT, formula_units=(1,))
    with_known = sampler.sample(SampleRequest(task=task), Streams(0, (0, 1, 2, 3)))
    assert with_known.properties["template"][0] == "periclase (this compound)"
    assert with_known.crystals.lattice[0].det().item() == pytest.approx(4.21**3 / 4, rel=1e-3)
    without = sampler.sample(SampleRequest(task=task, known=False), Streams(0, (0, 1, 2, 3)))
    assert "this compound" not in str(without.properties["template"])
    assert " for " in without.properties["template"][0]


def test_proposals_come_again_with_other_coordinates(sampler):
    """A sampler never runs out of draws."""
    task = CSP(composition=ROCK_SALT, formula_units=(1,))
    request = SampleRequest(task=task, prototype=Prototype.parse("P4/mmm a|d"), steps=4)
    found = sampler.sample(request, Streams(0, (0, 1, 2)))
    check(found, 3)
    assert len(set(found.properties["scaffold"])) <= 2
    volumes = found.crystals.lattice.det().tolist()
    assert len({round(v, 3) for v in volumes}) == 3


def test_conditions_act_on_what_templates_would_give(sampler):
    """They belong to a loop, so that the network draws where there are some."""
    task = CSP(composition=ROCK_SALT, formula_units=(1,))
    asked = SampleRequest(task=task, conditions=(ClosestApproach(0.8),), steps=4)
    found = sampler.sample(asked, Streams(0, (0, 1)))
    assert found.properties["template"] == [None, None]
    check(found, 2)


def test_a_space_group_or_a_prototype_is_held(sampler):
    task = CSP(composition=ROCK_SALT, formula_units=(1,))
    grouped = sampler.sample(SampleRequest(task=task, space_group=225), Streams(0, (0, 1, 2)))
    assert set(grouped.properties["space_group"]) == {space_group(225).symbol}
    wished = Prototype.parse("Pm-3m a|b")
    held = sampler.sample(SampleRequest(task=task, prototype=wished), Streams(0, (0, 1)))
    assert {Scaffold.parse(t).prototype.canonical() for t in held.properties["scaffold"]} == {
        wished.canonical()
    }
    with pytest.raises(InputError, match="Pnma cannot hold 1 formula unit"):
        sampler.sample(SampleRequest(task=task, space_group=62), Streams(0, (0,)))


def test_a_crystal_hangs_on_its_number_alone(sampler):
    for task in (CSP(composition=ROCK_SALT), DeNovo()):
        request = SampleRequest(task=task, steps=4)
        together = sampler.sample(request, Streams(3, (0, 1, 2, 3)))
        alone = sampler.sample(request, Streams(3, (2,)))
        assert alone.properties["scaffold"][0] == together.properties["scaffold"][2]
        one = together.crystals.select([2])
        torch.testing.assert_close(one.lattice, alone.crystals.lattice, rtol=1e-4, atol=1e-4)


def test_new_crystals_hold_what_is_asked_for(sampler):
    request = SampleRequest(task=DeNovo(elements=frozenset({8, 12, 22, 38})))
    found = sampler.sample(request, Streams(1, tuple(range(4))))
    species = set(found.crystals.species.tolist())
    assert species <= {8, 12, 22, 38}
    assert species


def test_a_group_that_no_template_has_is_held(sampler):
    """Contents come from other crystals then; what has no sites in it is drawn again."""
    request = SampleRequest(task=DeNovo(), space_group=4, steps=4)
    found = sampler.sample(request, Streams(2, tuple(range(24))))
    made = [symbol for symbol in found.properties["space_group"] if symbol]
    assert made
    assert set(made) == {space_group(4).symbol}
    assert sum(int(n) > 0 for n in found.crystals.num_atoms) == len(made)


@pytest.mark.parametrize("task", [CSP(composition=ROCK_SALT), DeNovo()])
def test_a_wished_energy_above_the_hull_counts_as_much_as_asked(sampler, task):
    streams = Streams(0, tuple(range(6)))
    nothing = sampler.sample(SampleRequest(task=task, steps=4), streams)
    wished = {"energy_above_hull": 0.0}
    ignored = SampleRequest(task=task, properties=wished, guidance_weight=0.0, steps=4)
    assert sampler.sample(ignored, streams).properties == nothing.properties
    strongly = SampleRequest(task=task, properties=wished, guidance_weight=40.0, steps=4)
    found = sampler.sample(strongly, streams)
    check(found, 6)
    assert found.properties["scaffold"] != nothing.properties["scaffold"]


def test_a_prototype_leaves_nothing_to_an_energy_above_the_hull(sampler):
    wished = {"energy_above_hull": 0.0}
    prototype = Prototype.parse("Fm-3m a|b")
    with pytest.raises(InputError, match="leaves none to choose"):
        sampler.check(SampleRequest(properties=wished, prototype=prototype))
    task = CSP(composition=ROCK_SALT)  # which element goes where can be chosen
    sampler.check(SampleRequest(task=task, properties=wished, prototype=prototype))


def test_a_model_that_never_saw_energies_takes_no_wish_for_them(sampler):
    config = {**sampler.card.config, "properties": []}
    card = replace(sampler.card, config=config)
    blind = WyckoffSampler(sampler.proposals, card, sampler.geometry, sampler.known)
    with pytest.raises(IncompatibleError, match="was not conditioned on energy_above_hull"):
        blind.check(SampleRequest(properties={"energy_above_hull": 0.0}))


def test_too_many_elements_are_refused_before_anything_is_drawn(sampler):
    nine = tuple((z, 1) for z in range(3, 12))
    with pytest.raises(InputError, match="1 to 8 elements; got 9"):
        sampler.check(SampleRequest(task=CSP(composition=nine)))
