"""Published sizes, graphs, the registry, and that the contract catches what it is for."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.errors import IncompatibleError, InputError, ShapeError
from ase_crysdiff.networks.base import Backbone
from ase_crysdiff.networks.distance_profiles import ProfileEmbedding, weights
from ase_crysdiff.networks.encoders import comformer_pdd, matformer, pddformer
from ase_crysdiff.networks.graph import Neighborhood, build_graph
from ase_crysdiff.networks.message_passing import EdgeLinear, aggregate, features, system_means
from ase_crysdiff.networks.radial import gaussians
from ase_crysdiff.networks.registry import backbone_names, make_backbone
from ase_crysdiff.networks.species_embeddings import make_elements
from ase_crysdiff.testing import backbones as contract
from ase_crysdiff.testing.crystals import prototype_batch, prototypes, rattled


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def readout(width, *outputs):
    return sum((a + 1) * b for a, b in pairwise([width, *outputs]))


@pytest.mark.parametrize(
    ("network", "extra", "published"),
    [
        (matformer.Matformer(**matformer.PUBLISHED), readout(128, 128, 1), 2_782_849),
        (pddformer.PDDFormer(**pddformer.PUBLISHED), readout(256, 256, 1), 4_512_257),
        (comformer_pdd.ComformerPDD(**comformer_pdd.PUBLISHED), 0, 4_332_800),
        (comformer_pdd.ComformerConvolution(256), 0, 855_296),
    ],
    ids=["matformer", "pddformer", "comformer-pdd", "its convolution"],
)
def test_published_sizes(network, extra, published):
    assert parameters(network) + extra == published


@pytest.mark.parametrize("name", backbone_names())
def test_defaults_are_small(name):
    assert parameters(make_backbone({"name": name})) <= 1_000_000


def test_unknown_names_and_arguments_are_refused():
    with pytest.raises(InputError, match="known: .*'matformer'"):
        make_backbone({"name": "matforner"})
    with pytest.raises(InputError, match="width"):
        make_backbone({"name": "matformer", "width": 3})
    with pytest.raises(InputError, match="described"):
        make_backbone({"name": "matformer", "elements": "names"})
    with pytest.raises(InputError, match="cutoff"):
        Neighborhood(None)


def test_another_version_of_matgl_is_refused(monkeypatch):
    from matgl.models import TensorNet

    monkeypatch.setattr(TensorNet, "__version__", 3)
    with pytest.raises(IncompatibleError, match="version 3"):
        make_backbone({"name": "tensornet"})


@pytest.mark.parametrize("pair", [(57, 58), (60, 61)], ids=["La, Ce", "Nd, Pm"])
@pytest.mark.parametrize("name", ["described", "one-hot"])
def test_neighbouring_lanthanides_differ(name, pair):
    one, other = make_elements(name, 16)(torch.tensor(pair))
    assert (one - other).abs().max() > 1e-2


def test_the_published_table_confuses_elements_and_the_contract_says_so():
    one, other = make_elements("table", 16)(torch.tensor([60, 61]))
    assert torch.equal(one, other)
    with pytest.raises(AssertionError, match=r"elements \d+ and \d+ have the same features"):
        contract.elements(make_backbone({"name": "matformer", "elements": "table", "hidden": 16}))


class Broken(Backbone):
    """Features that depend on what they must not depend on."""

    def __init__(self, fault):
        super().__init__()
        self.hidden, self.neighborhood, self.fault = 8, Neighborhood(4), fault
        self.elements, self.idle = make_elements("described", 8), nn.Linear(8, 8)

    def forward(self, graph):
        nodes = self.elements(graph.crystals.species) + self.fault(graph)
        return features(nodes, graph)


FAULTS = {
    "permutation": lambda g: torch.arange(len(g.crystals.species))[:, None] * 0.1,
    "rotation": lambda g: aggregate(g.vectors, g)[:, :1],
    "reflection": lambda g: torch.linalg.det(g.crystals.lattice)[
        g.crystals.layout.batch_index, None
    ],
    "translation": lambda g: g.crystals.frac_coords[:, :1] % 1,
    "image": lambda g: g.crystals.frac_coords[:, :1],
    "supercell": lambda g: g.crystals.layout.num_atoms[g.crystals.layout.batch_index, None].float(),
    "batch_independence": lambda g: g.distances.mean(),
    "single_atom": lambda g: torch.tensor(torch.nan),
    "elements": lambda g: -1e6 * torch.ones(1),
    "gradients": lambda g: 0.0,
}


@pytest.mark.parametrize("name", FAULTS)
def test_contract_catches_faults(name):
    with pytest.raises(AssertionError):
        getattr(contract, name)(Broken(FAULTS[name]))


def test_contract_catches_neighbors_chosen_by_rounding(monkeypatch):
    monkeypatch.setattr("ase_crysdiff.geometry.nearest.TIE", 0.0)
    with pytest.raises(AssertionError, match="1e-8"):
        contract.noise(Broken(lambda g: aggregate(g.distances[:, None], g)))


def test_edges_begin_in_order_and_lengths_are_right():
    crystals = prototype_batch()
    graph = build_graph(crystals, Neighborhood(12, profile=14))
    assert (graph.receivers.diff() >= 0).all()
    start = int(crystals.layout.sizes.index(2))  # the rocksalt cell
    atom = int(torch.nonzero(crystals.layout.batch_index == start)[0])
    lengths = graph.distances[graph.receivers == atom].sort().values
    torch.testing.assert_close(
        lengths, torch.tensor([2.82] * 6 + [5.64 / 2**0.5] * 12), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(graph.profile[atom], lengths[:14], rtol=0, atol=1e-5)


def test_crystals_out_of_order_are_refused():
    structures = prototypes()
    with pytest.raises(ShapeError, match="ascending"):
        build_graph(from_structures([structures["NaCl"], structures["Cu"]]), Neighborhood(4))


def test_edges_within_a_cutoff():
    graph = build_graph(from_structures([prototypes()["NaCl"]]), Neighborhood(None, 4.0))
    assert torch.bincount(graph.receivers).tolist() == [18, 18]


def test_self_edges_are_there_whatever_the_cell_and_once():
    """In a wide cell the search has to grow, in a narrow one it finds some of the images itself."""
    for constant in (3.0, 20.0):
        crystals = from_structures([contract.lone_atom(constant)])
        with_images = build_graph(crystals, Neighborhood(6, self_edges=True))
        shifts = [tuple(s) for s in with_images.cell_offsets.tolist()]
        assert (
            len(shifts) == len(set(shifts)) == 6 + 6
        )  # three pairs are nearest neighbours as well
        assert {(0, 1, 1), (1, 0, 1), (1, 1, 0), (0, 0, 1), (-1, 0, 0), (0, -1, -1)} <= set(shifts)


def test_profile_weights_are_the_same_in_a_supercell():
    cell = prototypes()["NaCl"]
    once, twice = (
        build_graph(from_structures([s]), Neighborhood(2, profile=4))
        for s in (cell, cell * (2, 1, 1))
    )
    assert sorted(weights(once).tolist()) == pytest.approx(
        [11 / 14, 17 / 14]
    )  # twice 11/28 and 17/28
    assert sorted(weights(twice).tolist()) == pytest.approx([11 / 14] * 2 + [17 / 14] * 2)


def test_hidden_elements_have_no_weight():
    graph = build_graph(prototype_batch(), Neighborhood(2, profile=4))
    hidden = graph.with_species(torch.zeros_like(graph.crystals.species))
    assert not weights(hidden).any()
    assert torch.isfinite(ProfileEmbedding(4, 8)(hidden)).all()


def test_joined_linear_map_is_that_of_the_joined_vectors(generator):
    graph = build_graph(from_structures(rattled(3)).sorted()[0], Neighborhood(3))
    nodes, edges = (
        torch.randn(len(graph.crystals.species), 5, generator=generator),
        torch.randn(len(graph.receivers), 4),
    )
    layer = EdgeLinear(5, 4, 6)
    joined = torch.cat([nodes[graph.receivers], nodes[graph.senders], edges], -1)
    torch.testing.assert_close(
        layer(nodes, edges, graph.receivers, graph.senders), layer.linear(joined)
    )


def test_sums_and_means_equal_loops(generator):
    graph = build_graph(from_structures(rattled(4)).sorted()[0], Neighborhood(3))
    messages = torch.randn(len(graph.receivers), 2, generator=generator)
    sums = torch.stack(
        [messages[graph.receivers == atom].sum(0) for atom in range(len(graph.crystals.species))]
    )
    torch.testing.assert_close(aggregate(messages, graph), sums)
    layout = graph.crystals.layout
    means = torch.stack([sums[layout.batch_index == k].mean(0) for k in range(layout.num_crystals)])
    torch.testing.assert_close(system_means(sums, graph), means)


def test_gaussians_divide_by_the_spacing():
    found = gaussians(torch.tensor([-2.0]), -4.0, 0.0, 5)
    torch.testing.assert_close(found, torch.exp(-torch.tensor([[4.0, 1.0, 0.0, 1.0, 4.0]])))
