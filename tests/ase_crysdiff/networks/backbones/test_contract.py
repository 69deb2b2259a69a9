"""Every registered backbone passes the public checks, in both number formats."""

import pytest
import torch

from ase_crysdiff.networks.backbones.base import Backbone
from ase_crysdiff.networks.backbones.registry import BACKBONES, make_backbone
from ase_crysdiff.testing.backbones import CHECKS

SMALL = {
    "tensornet": {"hidden": 16},
    "crysformer-full": {"hidden": 48},
    "crysformer": {"hidden": 32},
}


@pytest.fixture(scope="module", params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(scope="module", params=sorted(BACKBONES))
def backbone(request, dtype) -> Backbone:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        made = make_backbone({"name": request.param, **SMALL.get(request.param, {"hidden": 32})})
    return made.to(dtype)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_contract(backbone, check):
    check(backbone)
