"""Our representations pass the public checks; broken ones do not."""

import pytest
import torch

from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_matrix import LatticeMatrix
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.testing.representations import CHECKS

OURS = {
    "matrix": LatticeMatrix(),
    "polar": LatticePolar([0.0] * 5 + [1.6], [0.2] * 5 + [0.3]),
    "fractional coordinates": FracCoords(),
    "class index": ClassIndex(),
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", OURS)
def test_ours(name, check):
    check(OURS[name])


class Levelless(LatticeMatrix):
    level = "molecule"


class Narrow(LatticeMatrix):
    width = 6


class Halved(LatticeMatrix):
    def decode(self, value):
        return super().decode(value) / 2


class Centred(LatticeMatrix):
    def encode(self, batch):
        found = super().encode(batch)
        return found - found.mean(0)


class Careless(FracCoords):
    def decode(self, value):
        return value.add_(1)


class Raw(LatticeMatrix):
    def invariants(self, value):
        return value


BROKEN = {
    "declaration": Levelless,
    "width": Narrow,
    "round_trip": Halved,
    "rows": Centred,
    "unchanged_input": Careless,
    "invariants": Raw,
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_broken_representations_fail(check):
    with pytest.raises(AssertionError):
        check(BROKEN[check.__name__]())


def test_numbers_of_low_precision_are_caught():
    class Rounded(LatticeMatrix):
        def encode(self, batch):
            return super().encode(batch).to(torch.bfloat16).to(batch.lattice.dtype)

    with pytest.raises(AssertionError, match="decoded field differ"):
        CHECKS["round_trip"](Rounded())
