"""A projection that stops on the way: to the end it is the sampler's own, released it is not."""

import importlib.util
from pathlib import Path

import numpy as np

from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sites import Sites
from ase_crysdiff.symmetry.scaffold import Scaffold

SCRIPT = Path(__file__).parents[2] / "experiments" / "released_symmetry.py"
specification = importlib.util.spec_from_file_location("released_symmetry", SCRIPT)
experiment = importlib.util.module_from_spec(specification)
specification.loader.exec_module(experiment)

SCAFFOLDS = [Scaffold.parse("P4_2/mnm: Ti a, O f"), Scaffold.parse("P6_3mc: Zn b, S b")]


def test_crystals_keep_their_group_to_the_end_or_until_they_are_released():
    loaded = load_sampler("dao-g-flow")
    sampler = experiment.ReleasingSampler(loaded.model, loaded.card, loaded.device)
    own = loaded.sample_on(Sites(SCAFFOLDS), SampleRequest(steps=5), Streams(3, (0, 1))).crystals
    found = {}
    for sampler.release in (0.0, 0.5, 1.0):
        found[sampler.release] = experiment.draws(sampler, SCAFFOLDS, 3, steps=5)
    held, *released = found.values()
    places = np.concatenate([s.frac_coords for s in held])
    np.testing.assert_allclose(places % 1.0, own.frac_coords.numpy() % 1.0, atol=1e-6)
    assert [experiment.group_of(s, 1e-3) for s in held] == [s.group for s in SCAFFOLDS]
    for some in released:
        assert [s.composition for s in some] == [s.composition for s in held]
        assert experiment.group_of(some[1], 1e-3) != SCAFFOLDS[1].group
