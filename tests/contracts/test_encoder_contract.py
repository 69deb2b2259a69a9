"""Every registered encoder passes the public checks, in both number formats; broken ones do not."""

import pytest
import torch

from ase_crysdiff import registry
from ase_crysdiff.networks.base import Encoder, Features
from ase_crysdiff.networks.encoders.cspnet import CSPNet
from ase_crysdiff.testing import backbones, encoders

SMALL = {
    "tensornet": {"hidden": 16},
    "crysformer-full": {"hidden": 48},
    "crysformer": {"hidden": 32},
}
NAMES = registry.names(registry.ENCODERS)


@pytest.fixture(scope="module", params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


#: Variants of registered encoders that read something else.
VARIANTS = {"cspnet with distances": ("cspnet", {"hidden": 32, "distances": 8})}


@pytest.fixture(scope="module", params=[*NAMES, *VARIANTS])
def checks(request, dtype):
    plain = (request.param, SMALL.get(request.param, {"hidden": 32}))
    return encoders.checks_of(*VARIANTS.get(request.param, plain), dtype)


@pytest.mark.parametrize("check", backbones.CHECKS.values(), ids=backbones.CHECKS)
def test_as_backbone(checks, check):
    checks[check.__name__]()


@pytest.mark.parametrize("check", encoders.CHECKS.values(), ids=encoders.CHECKS)
def test_in_a_denoiser(checks, check):
    bound = checks.get(f"denoising {check.__name__}")
    if bound is None:
        pytest.skip("reads clean crystals")
    bound()


def test_both_kinds_are_among_them():
    denoising = [
        name for name in NAMES if issubclass(registry.load(registry.ENCODERS, name), Encoder)
    ]
    assert denoising == ["crysformer-full", "cspnet"]
    assert set(denoising) < set(NAMES)


class Broken(CSPNet):
    """A good encoder with a fault."""

    def __init__(self, fault):
        super().__init__(encoders.INVARIANTS, 16, 1, 4)
        self.fault = fault

    def forward(self, inputs):
        found = super().forward(inputs)
        return self.fault(found, inputs)


FAULTS = {
    "widths": lambda f, i: Features(f.nodes[:, :8], f.crystals[:, :8]),
    "permutation": lambda f, i: Features(
        f.nodes + 0.1 * torch.arange(len(f.nodes))[:, None], f.crystals
    ),
    "image": lambda f, i: Features(f.nodes + i.frac_coords[:, :1], f.crystals),
    "translation": lambda f, i: Features(f.nodes + i.frac_coords[:, :1] % 1, f.crystals),
    "orientation": lambda f, i: Features(f.nodes + i.lattice()[0, 0, 0], f.crystals),
    "batch_independence": lambda f, i: Features(f.nodes - f.nodes.mean(0), f.crystals),
    "geometry": lambda f, i: Features(i.nodes, f.crystals),
    "gradients": lambda f, i: Features(f.nodes.detach(), f.crystals.detach() + 0 * f.crystals),
}


@pytest.mark.parametrize("check", encoders.CHECKS.values(), ids=encoders.CHECKS)
def test_broken_encoders_fail(check):
    with pytest.raises(AssertionError):
        check(Broken(FAULTS[check.__name__]).double())


def test_a_hard_cutoff_is_caught():
    from ase_crysdiff.networks.base import Backbone
    from ase_crysdiff.networks.graph import Neighborhood
    from ase_crysdiff.networks.message_passing import aggregate, features
    from ase_crysdiff.networks.species_embeddings import make_elements

    class Hard(Backbone):
        is_smooth = True

        def __init__(self, messages):
            super().__init__()
            self.hidden, self.neighborhood = 8, Neighborhood(None, 4.0)
            self.elements, self.messages = make_elements("described", 8), messages

        def forward(self, graph):
            nodes = self.elements(graph.species)
            return features(nodes + aggregate(self.messages(graph), graph), graph)

    backbones.smoothness(Hard(lambda g: (1 - g.distances[:, None] / 4) ** 3))
    with pytest.raises(AssertionError, match="features jump"):
        backbones.smoothness(Hard(lambda g: 1 / g.distances[:, None]))
    with pytest.raises(AssertionError, match="derivatives of features jump"):
        backbones.smoothness(Hard(lambda g: 1 - g.distances[:, None] / 4))
    with pytest.raises(AssertionError, match="plain Graph"):
        backbones.smoothness(Hard(lambda g: g.crystals.frac_coords))
