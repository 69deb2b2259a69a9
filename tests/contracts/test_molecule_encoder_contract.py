"""Every registered encoder of molecules passes the public checks; broken ones do not."""

import pytest
import torch

from ase_crysdiff import registry
from ase_crysdiff.networks.molecules.egnn import EGNN
from ase_crysdiff.testing.molecule_encoders import CHECKS

NAMES = registry.names(registry.MOLECULE_ENCODERS)


def made(kind):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return kind(**kind.small).double()


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_registered(name, check):
    check(made(registry.load(registry.MOLECULE_ENCODERS, name)))


class ReadsTheOrigin(EGNN):
    def forward(self, inputs):
        nodes, moves = super().forward(inputs)
        return nodes, moves + inputs.seen


class ReadsAnAxis(EGNN):
    def forward(self, inputs):
        nodes, moves = super().forward(inputs)
        return nodes, moves * torch.tensor([1.0, 1.0, 2.0], dtype=moves.dtype)


class NormsOverTheBatch(EGNN):
    def forward(self, inputs):
        nodes, moves = super().forward(inputs)
        return nodes - nodes.mean(0, keepdim=True), moves


class CountsRows(EGNN):
    def forward(self, inputs):
        nodes, moves = super().forward(inputs)
        rows = torch.arange(moves.shape[1], dtype=moves.dtype)
        return nodes, moves * rows[:, None]


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        ("translation", ReadsTheOrigin),
        ("rotation", ReadsAnAxis),
        ("batch_independence", NormsOverTheBatch),
        ("permutation", CountsRows),
    ],
)
def test_broken_ones_are_found(check, broken):
    with pytest.raises(AssertionError):
        CHECKS[check](made(broken))
