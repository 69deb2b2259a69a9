"""A request that makes no sense cannot be made."""

import math

import pytest
import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.host import Guests, Host
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from ase_crysdiff.sampling.tasks.vary import Vary
from ase_crysdiff.testing.crystals import random_batch

ONE, TWO = (random_batch([2] * n, torch.Generator().manual_seed(0)) for n in (1, 2))
HOST = Host(((4.0, 0.0, 0.0), (0.0, 4.0, 0.0), (0.0, 0.0, 4.0)), (), (), (Guests(3, 1, 1),))
RUTILE = ((22, 1), (8, 2))


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (SampleRequest, {"steps": -1}, "steps must be .* got -1"),
        (SampleRequest, {"lattice": ()}, "three rows .* got"),
        (SampleRequest, {"lattice": ((4.0, 0.0, 0.0), (0.0, 4.0, 0.0), (0.0, 0.0, math.nan))}, "Å"),
        (SampleRequest, {"properties": {"band_gap": math.nan}}, "wished band_gap .* got nan"),
        (SampleRequest, {"guidance_weight": 2.0}, "none is wished"),
        (SampleRequest, {"properties": {"x": 1.0}, "guidance_weight": -1.0}, "weight .* got -1"),
        (CSP, {"composition": ()}, "no element"),
        (CSP, {"composition": ((22, -1),)}, "amount .* got -1"),
        (CSP, {"composition": ((0, 1),)}, "atomic number .* got 0"),
        (CSP, {"composition": ((100, 1),)}, "1 to 99, got 100"),
        (CSP, {"cells": (RUTILE, ())}, "no element"),
        (CSP, {"composition": RUTILE, "formula_units": ()}, "formula_units is empty"),
        (CSP, {"composition": RUTILE, "formula_units": (0,)}, "formula_units .* got 0"),
        (CSP, {"composition": RUTILE, "num_atoms": -3}, "num_atoms .* got -3"),
        (CSP, {"composition": RUTILE, "num_atoms": 4}, "no multiple of the 3 atoms"),
        (DeNovo, {"num_atoms": -3}, "num_atoms .* got -3"),
        (DeNovo, {"elements": frozenset()}, "elements names no element"),
        (DeNovo, {"chemical_system": frozenset({3, 120})}, "1 to 99, got 120"),
        (Vary, {"crystal": ONE, "time": 1.5}, "at most 1 .* got 1.5"),
        (Vary, {"crystal": TWO, "time": 0.5}, "one crystal.* got 2"),
        (Vary, {"crystal": ONE, "time": 0.5, "num_atoms": 0}, "num_atoms .* got 0"),
        (Inpaint, {"host": HOST, "jump_length": 0}, "jump_length .* got 0"),
        (Inpaint, {"host": HOST, "repeats": -1}, "repeats .* got -1"),
        (Inpaint, {"host": HOST, "atom_count_prior": (0.0, 0.0)}, "must be positive"),
    ],
)
def test_nonsense_is_refused(make, fields, message):
    with pytest.raises(InputError, match=message):
        make(**fields)
