"""Lengths and angles of FlowMM, and their flow."""

import math

import pytest
import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.lattice import from_parameters, gram
from ase_crysdiff.processes.flow import LatticeParametersFlow, make_lattice_parameters
from ase_crysdiff.representations.lattice_parameters import LatticeParameters
from ase_crysdiff.testing.processes import Recorded

SIX = LatticeParameters([0.0] * 6, [1.0] * 6)


def cells(*rows):
    rows = torch.tensor(rows, dtype=torch.float64)
    lattice = from_parameters(rows[:, :3], rows[:, 3:])
    count = torch.ones(len(rows), dtype=torch.long)
    return CrystalBatch(lattice, torch.zeros(len(rows), 3, dtype=torch.float64), count, count)


def test_angles_are_the_published_numbers():
    found = SIX.encode(cells([3.0, 4, 5, 60, 75, 90], [3, 4, 5, 90, 105, 119]))
    torch.testing.assert_close(
        found[:, 3:],
        torch.tensor([[-6.398595, -1.094188, 0], [0, 1.094188, 3.983921]], dtype=torch.float64),
        atol=1e-5,
        rtol=0,
    )


def test_round_trip_and_standardisation():
    batch = cells([3.0, 4, 5, 70, 95, 110], [4, 4, 9, 60, 60, 60])
    torch.testing.assert_close(gram(SIX.decode(SIX.encode(batch))), gram(batch.lattice))
    six = SIX.encode(batch)
    scaled = LatticeParameters(six.mean(0).tolist(), [2.0] * 6).invariants(six)
    torch.testing.assert_close(scaled, (six - six.mean(0)) / 2)


def test_cells_beyond_the_angles_are_refused():
    with pytest.raises(InputError, match=r"between 59\.9° and 120\.1° only, got 50\.0°"):
        SIX.encode(cells([3.0, 4, 5, 50, 90, 90]))
    with pytest.raises(InputError, match="six means"):
        LatticeParameters([0.0] * 5, [1.0] * 6)


class Many(Recorded):
    def normal(self, width):
        return torch.randn(100_000, width, generator=self._generator(), dtype=torch.float64)


def test_prior():
    drawn = LatticeParametersFlow().prior(Many(0))
    logs, share = drawn[:, :3].log(), torch.sigmoid(drawn[:, 3:])
    torch.testing.assert_close(logs.mean(0).tolist(), [1.5754, 1.7017, 1.9782], atol=0.005, rtol=0)
    torch.testing.assert_close(logs.std(0).tolist(), [0.2444, 0.2653, 0.3536], atol=0.005, rtol=0)
    assert float((share.mean(0) - 0.5).abs().max()) < 0.005
    assert float((share.std(0) - 1 / math.sqrt(12)).abs().max()) < 0.002


def test_nonsense_is_refused():
    with pytest.raises(InputError, match="this one has 9"):
        make_lattice_parameters(9)
    with pytest.raises(InputError, match="three positive deviations"):
        LatticeParametersFlow((1.0, 1.0, 1.0), (0.1, 0.0, 0.1))
