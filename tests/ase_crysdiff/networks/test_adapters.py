import copy

import pytest
import torch
from torch import nn

from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.adapters import adapter_tensors, attach, merge
from ase_crysdiff.networks.graph import build_graph
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.testing.crystals import prototype_batch


@pytest.fixture
def backbone():
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return make_backbone({"name": "crystal-graph", "hidden": 32, "layers": 2})


def features(backbone):
    return backbone(build_graph(prototype_batch(), backbone.neighborhood)).crystals


def stir(backbone):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name.endswith(".up"):
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def test_new_adapters_and_scale_zero_change_nothing(backbone):
    plain = copy.deepcopy(backbone)
    attach(backbone, 4)
    assert torch.equal(features(backbone), features(plain))
    stir(backbone)
    assert not torch.allclose(features(backbone), features(plain), atol=1e-3)
    for module in backbone.modules():
        if hasattr(module, "scale"):
            module.scale = 0.0
    assert torch.equal(features(backbone), features(plain))


def test_merged_adapters_give_the_same(backbone):
    attach(backbone, 4, 0.7)
    stir(backbone)
    before = features(backbone)
    merge(backbone)
    assert torch.allclose(features(backbone), before, atol=1e-5)
    assert not adapter_tensors(dict(backbone.named_parameters()))


def test_only_adapters_learn_and_merging_gives_the_old_names_back(backbone):
    names = list(dict(backbone.named_parameters()))
    attach(backbone, 4)
    found = dict(backbone.named_parameters())
    adapters = adapter_tensors(found)
    assert {n for n, p in found.items() if p.requires_grad} == set(adapters)
    stir(backbone)
    features(backbone).sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in adapters.values())
    merge(backbone)
    assert sorted(dict(backbone.named_parameters())) == sorted(names)


def test_wrong_ranks():
    network = nn.Sequential(Linear(8, 8), nn.Linear(8, 2))
    x = torch.randn(3, 8)
    before = network(x)
    attach(network, 3)  # the second map is too narrow
    assert torch.equal(network(x), before)
    assert len(adapter_tensors(dict(network.named_parameters()))) == 2
    with pytest.raises(InputError, match="at least 1"):
        attach(network, 0)
    with pytest.raises(InputError, match="wider than 64"):
        attach(network, 64)
