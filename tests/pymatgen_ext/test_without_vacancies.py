"""A sampler that finds species on a given number of atoms: miad without its mirage atoms."""

from collections import Counter

import pytest
import torch
from toys import tiny_config, write_weights

from ase_crysdiff.constants import VACANCY
from ase_crysdiff.data.statistics import size_histogram, species_prior
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.batched import SamplerSpec
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext.samplers import StructureSampler

MAX_ATOMS = 5


@pytest.fixture(scope="module")
def weights(crystals, tmp_path_factory):
    config = {
        **tiny_config("miad", crystals),
        "state_space": {"name": "identity", "max_atoms": MAX_ATOMS},
        "species": {"kernel": "exact", "prior": species_prior(crystals)},
    }
    folder = tmp_path_factory.mktemp("weights") / "miad"
    return str(write_weights("miad", config, folder, {"steps": 3, "corrections": {}}))


@pytest.fixture(scope="module")
def sampler(weights):
    return SamplerSpec("miad", weights, "cpu").load()


def test_numbers_of_atoms_are_those_of_the_training_data(sampler, crystals):
    histogram = {int(n): c for n, c in size_histogram(crystals).items() if int(n) <= MAX_ATOMS}
    assert len(histogram) > 2
    assert max(map(int, size_histogram(crystals))) > MAX_ATOMS
    count = 1500
    streams = Streams(5, tuple(range(count)), (0,) * count)
    drawn = sampler.sample(SampleRequest(steps=1), streams).crystals
    found = Counter(drawn.num_atoms.tolist())
    assert found.keys() == histogram.keys()
    for n, c in histogram.items():
        share = c / sum(histogram.values())
        assert found[n] / count == pytest.approx(
            share, abs=4 * (share * (1 - share) / count) ** 0.5
        )


def test_no_row_is_ever_a_vacancy(sampler, crystals):
    drawn = sampler.sample(SampleRequest(), Streams(1, tuple(range(200)), (0,) * 200)).crystals
    assert (drawn.species != VACANCY).all()
    assert set(drawn.species.tolist()) <= set(crystals.batch.species.tolist())


def test_a_crystal_does_not_depend_on_its_batch(sampler):
    whole = sampler.sample(SampleRequest(), Streams(1, tuple(range(8)), (0,) * 8)).crystals
    alone = sampler.sample(SampleRequest(), Streams(1, (5,), (0,))).crystals
    part = whole.select([5])
    assert torch.equal(part.species, alone.species)
    assert torch.allclose(part.frac_coords, alone.frac_coords, atol=1e-4)


def test_wishes(weights):
    sampler = StructureSampler("miad", weights, device="cpu")
    request, _ = sampler.request(num_atoms=4, chemical_system="Na-Cl")
    drawn = (
        SamplerSpec("miad", weights, "cpu")
        .load()
        .sample(request, Streams(0, tuple(range(20)), (0,) * 20))
        .crystals
    )
    assert drawn.num_atoms.tolist() == [4] * 20
    assert set(drawn.species.tolist()) == {11, 17}


def test_variation_and_hosts_keep_the_number_of_atoms(weights):
    sampler = StructureSampler("miad", weights, device="cpu")
    salt = prototypes()["NaCl"]
    varied = sampler.vary(salt, num_samples=3, seed=0, redraws=20)
    assert {len(s) for s in varied} == {len(salt)}
    filled = sampler.inpaint(salt, {"Li": 1}, num_samples=1, seed=0, redraws=20, relax_cell=True)
    assert [len(s) for s in filled] == [len(salt) + 1] * len(filled)
    with pytest.raises(IncompatibleError, match="known numbers of guests only"):
        sampler.inpaint(salt, {"Li": (0, 2)}, num_samples=1)
