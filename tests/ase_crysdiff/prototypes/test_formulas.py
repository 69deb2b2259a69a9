"""Formulas by the votes of known crystals."""

import itertools
import math

import numpy as np
import pytest

from ase_crysdiff.prototypes.formulas import voted_formulas
from ase_crysdiff.prototypes.library import reduced_formula
from pymatgen_ext import StructureSampler

LI, OXYGEN, TI, MN, NI, SN = 3, 8, 22, 25, 28, 50


@pytest.fixture(scope="module")
def sampler():
    return StructureSampler("prototypes").sampler


def names(found, count):
    return {f.contents for f in found[:count]}


def test_what_is_known_to_exist_comes_first_though_it_does_not_vote(sampler):
    found = voted_formulas(sampler.library, [LI, MN, OXYGEN], sampler.vote, 20)
    spinel, layered = ((LI, 1), (OXYGEN, 4), (MN, 2)), ((LI, 2), (OXYGEN, 3), (MN, 1))
    assert {spinel, layered} <= names(found, 3)
    heusler = ((TI, 1), (NI, 2), (SN, 1))
    found = voted_formulas(sampler.library, [TI, NI, SN], sampler.vote, 20)
    assert heusler in names(found, 2)


def test_votes_are_those_of_a_loop_over_crystals(sampler):
    """The reference goes through every crystal and every way to give it the elements."""
    library, vote = sampler.library, sampler.vote
    elements = [57, 1]
    expected: dict = {}
    for counts in library.counts:
        if len(counts) != 2 or sum(counts) > 8:
            continue
        pattern = library.pattern(counts)
        shares = [(n / sum(counts)) ** vote.share for n in counts]
        energies = library.energy[pattern.rows]
        parts: dict = {}
        for order in itertools.permutations(elements):
            key = reduced_formula(zip(order, counts, strict=True))
            for own, energy in zip(pattern.species.tolist(), energies.tolist(), strict=True):
                if tuple(own) == order:
                    continue
                cost = vote.energy * (vote.unknown_energy if math.isnan(energy) else energy)
                for z, old, share in zip(order, own, shares, strict=True):
                    cost += share * library.distance[z, old] / vote.temperature
                parts.setdefault(key, []).append(-cost)
        for key, votes in parts.items():
            total = float(np.logaddexp.reduce(votes))
            expected[key] = max(total, expected.get(key, -math.inf))
    found = voted_formulas(library, elements, vote, 8)
    assert {f.contents: pytest.approx(f.votes, abs=1e-9) for f in found} == expected
    assert [f.votes for f in found] == sorted((f.votes for f in found), reverse=True)


def test_cells_are_no_larger_than_asked_for(sampler):
    found = voted_formulas(sampler.library, [TI, NI, SN], sampler.vote, 6)
    assert found
    assert all(f.num_atoms <= 6 for f in found)
