"""Labels of a crystal that take different species."""

from itertools import permutations

import torch

from ase_crysdiff.conditions.different_species import DifferentSpecies, given_all_different
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.testing.conditions import toy


def drawn(generator, *shape):
    return torch.softmax(3 * torch.randn(shape, generator=generator, dtype=torch.float64), -1)


def enumerated(p):
    """The marginals by summing over every way."""
    found = torch.zeros_like(p)
    for way in permutations(range(p.shape[1]), len(p)):
        weight = torch.stack([p[k, e] for k, e in enumerate(way)]).prod()
        for k, e in enumerate(way):
            found[k, e] += weight
    return found / found.sum(-1, keepdim=True)


def test_marginals_are_those_of_all_ways(generator):
    p = drawn(generator, 4, 3, 5)
    expected = torch.stack([enumerated(one) for one in p])
    assert torch.allclose(given_all_different(p), expected, atol=1e-12)


def test_labels_that_want_the_same_share_it():
    p = torch.tensor([[[1 - 2e-9, 1e-9, 1e-9]] * 2], dtype=torch.float64)
    found = given_all_different(p)[0]
    assert torch.allclose(found[:, 0], torch.full((2,), 0.5, dtype=torch.float64), atol=1e-6)


def test_where_no_way_is_possible_nothing_changes():
    p = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)
    assert torch.equal(given_all_different(p), p)


def test_tied_rows_stay_tied_and_others_are_left_alone(generator):
    layout = Layout((3, 4), torch.device("cpu"), torch.float32)
    labels = torch.tensor([0, 0, 0, 10, 11, 11, -1])
    p = drawn(generator, 7, 5)[torch.tensor([0, 0, 0, 3, 4, 4, 6])].log()
    p[:3, 0] = -torch.inf
    found = DifferentSpecies(labels).estimate(p, 0.5, layout)
    assert torch.isneginf(found[:3, 0]).all()
    assert torch.allclose(found[:3].exp(), p[:3].softmax(-1), atol=1e-12)
    assert torch.allclose(found[3:5].exp(), enumerated(p[3:5].exp()), atol=1e-12)
    assert torch.equal(found[4], found[5])
    assert torch.equal(found[6], p[6])


def test_the_last_draw_takes_every_way_as_often_as_it_weighs(generator):
    p = drawn(generator, 3, 4)
    count = 4000
    layout = Layout((3,) * count, torch.device("cpu"), torch.float32)
    labels = torch.arange(3 * count)
    condition = DifferentSpecies(labels)
    condition.estimate(p.log().repeat(count, 1), 0.1, layout)
    state = {"species": torch.zeros(3 * count, dtype=torch.long)}

    def rng(name, level):
        return GeneratorStream(3 * count, generator)

    found = condition.project(state, 0.0, toy()[0], layout, rng)["species"].view(count, 3)
    assert all(len(set(one)) == 3 for one in found.tolist())
    shares = torch.nn.functional.one_hot(found, 4).double().mean(0)
    assert (shares - enumerated(p)).abs().max() < 4 * (0.25 / count) ** 0.5
    untouched = condition.project(state, 0.1, toy()[0], layout, rng)
    assert untouched is state
