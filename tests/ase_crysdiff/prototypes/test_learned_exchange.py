"""Templates get new elements from the masked model, by what a wish allows."""

import itertools

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure
from textbook import textbook_library

from ase_crysdiff.models.site_elements import load_exchange
from ase_crysdiff.networks.site_elements.batch import PartBatch
from ase_crysdiff.networks.site_elements.exchange import ElementExchange, ExchangeSettings
from ase_crysdiff.networks.site_elements.network import HIDDEN, STABLE, SiteElements, present
from ase_crysdiff.networks.site_elements.parts import parts_of
from ase_crysdiff.prototypes.exchange import ElementWish
from ase_crysdiff.prototypes.learned_exchange import LearnedExchange
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.loading import prototypes, random_exchange
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.scaffold import Scaffold

ALL = frozenset(range(1, 95))


@pytest.fixture(scope="module")
def salts():
    """Rock salts of four alkali metals and three halogens."""
    return [
        Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(5.6), [metal, halogen], [[0, 0, 0], [0.5, 0.5, 0.5]]
        )
        for metal, halogen in itertools.product(["Li", "Na", "K", "Rb"], ["F", "Cl", "Br"])
    ]


@pytest.fixture(scope="module")
def exchange():
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        network = SiteElements(hidden=32, layers=1, heads=2, pair=8)
    return LearnedExchange(ElementExchange(network, ExchangeSettings(1, 0.5, 1.0, 1.0)), ALL)


def many(exchange, crystal, wish, count=50):
    return exchange.propose(
        [crystal] * count, wish, [np.random.default_rng(i) for i in range(count)]
    )


def test_wishes_are_kept(exchange, salts):
    crystal = find_symmetric(salts[0])
    free = many(exchange, crystal, ElementWish(ALL))
    assert all(list(new) == list(crystal.scaffold.counts) for new in free)
    assert all(len(set(new.values())) == 2 for new in free)
    assert len({tuple(new.values()) for new in free}) > 5
    few = many(exchange, crystal, ElementWish(frozenset({8, 12, 20})))
    assert {z for new in few for z in new.values()} == {8, 12, 20}
    system = many(exchange, crystal, ElementWish(ALL, frozenset({8, 12})))
    assert {frozenset(new.values()) for new in system} == {frozenset({8, 12})}


def test_what_cannot_be_is_none(exchange, salts):
    crystal = find_symmetric(salts[0])
    for wish in (ElementWish(ALL, frozenset({8, 12, 20})), ElementWish(frozenset({8}))):
        assert exchange.propose([crystal], wish, [np.random.default_rng(0)]) == [None]


def test_new_crystals_of_prototypes_are_drawn_by_the_shipped_model(tmp_path):
    """Its exchanges are likelier under the model than those by chance, and depend on the seed and
    the number of a draw alone.
    """
    textbook_library(tmp_path)
    request = SampleRequest(task=DeNovo())
    numbers = tuple(range(12))
    samplers = [prototypes(tmp_path), random_exchange(tmp_path)]
    drawn = [sampler.sample(request, Streams(1, numbers)) for sampler in samplers]
    alone = samplers[0].sample(request, Streams(1, (7,)))
    assert alone.properties["scaffold"] == [drawn[0].properties["scaffold"][7]]
    nats = [
        np.mean([surprise(Scaffold.parse(text)) for text in found.properties["scaffold"] if text])
        for found in drawn
    ]
    assert nats[0] < nats[1] - 0.2


def surprise(scaffold):
    """Nats of an element given the others, mean over the parts."""
    parts = parts_of(scaffold)
    shown = torch.tensor([parts.elements] * len(parts.elements)).fill_diagonal_(HIDDEN)
    batch = PartBatch.of([parts] * len(parts.elements))
    with torch.no_grad():
        logits = load_exchange().network(batch, shown, torch.full((len(shown),), STABLE))
    chances = logits.masked_fill(present(shown).unsqueeze(1), -torch.inf).log_softmax(-1)
    return -np.mean([float(chances[k, k, z]) for k, z in enumerate(parts.elements)])
