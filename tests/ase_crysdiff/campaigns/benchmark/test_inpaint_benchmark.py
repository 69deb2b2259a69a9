"""The benchmark of inpainting: hosts, numbers, interruption."""

import json

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.benchmark.hosts import inpaint_target, removable_elements
from ase_crysdiff.campaigns.benchmark.inpaint import InpaintOptions, inpaint
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.registry import SAMPLERS, register, unregister
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext.guidance import EnergyGuidance
from pymatgen_ext.inpainting import prepare
from pymatgen_ext.samplers import StructureSampler

ROCKSALT = prototypes()["NaCl"]
PEROVSKITE = prototypes()["SrTiO3"]


class Filler(Sampler):
    """Puts every guest where rocksalt wants it; every second draw puts it elsewhere, with one guest
    too many for ranges.
    """

    label = "filler"
    capabilities = Capabilities(tasks=frozenset({Inpaint}), finds_counts=True)
    drawn = 0

    def sample(self, request, streams):
        found = []
        for index in streams.indices:
            Filler.drawn += 1
            host = request.task.host
            (guest,) = host.guests
            wrong = index % 2
            places = [np.array(host.frac_coords[0]) + (0.3 if wrong else 0.5)]
            if wrong and guest.most > guest.least:
                places.append(places[0] + 0.3)
            found.append(
                CrystalBatch(
                    torch.tensor(host.lattice)[None],
                    torch.tensor(np.vstack([host.frac_coords, *places]) % 1).float(),
                    torch.tensor([*host.species, *[guest.species] * len(places)]),
                    torch.tensor([len(host.species) + len(places)]),
                )
            )
        return Sampled(CrystalBatch.cat(found))


@pytest.fixture
def targets(tmp_path):
    register(SAMPLERS, "filler", lambda weights, device: Filler())
    path = tmp_path / "targets.safetensors"
    PackedCrystals(from_structures([ROCKSALT, prototypes()["Cu"]])).save(path)
    yield path
    unregister(SAMPLERS, "filler")


def run(targets, output, sampler=None, **more):
    sampler = sampler or StructureSampler("filler", device="cpu")
    options = InpaintOptions(targets=targets, output=output, **more)
    return inpaint(options, sampler, prepare, EnergyGuidance)


def score(targets, output, **more):
    return run(targets, output, **more).content


@pytest.mark.parametrize(
    ("structure", "removable", "guest", "count"),
    [
        (PEROVSKITE, frozenset(), "Sr", 1),  # as rare as Ti, and more electropositive
        (PEROVSKITE, frozenset({"O"}), "O", 3),
        (ROCKSALT, frozenset(), "Na", 1),
        (prototypes()["MoS2"], frozenset(), "Mo", 2),
    ],
)
def test_the_rarest_element_is_taken_out(structure, removable, guest, count):
    found = inpaint_target(structure, removable)
    assert (found.guest, found.count) == (guest, count)
    assert len(found.host) == len(structure) - count
    assert guest not in {s.symbol for s in found.host.composition}


def test_what_leaves_no_host_is_no_target():
    assert inpaint_target(prototypes()["Cu"]) is None
    assert inpaint_target(ROCKSALT, frozenset({"Li"})) is None


def test_right_places_are_recognised(targets, tmp_path):
    result = run(targets, tmp_path / "out.json", samples=2)
    content = result.content
    assert content["targets"]["count"] == 1  # copper has no second element
    assert content["guests"] == {"Na": 1}
    assert content["reconstructed"]["1"]["value"] == content["reconstructed"]["2"]["value"] == 1
    assert content["rmse"] == pytest.approx(0, abs=1e-4)
    assert content["exact_count"]["value"] == 1
    assert content["largest_host_displacement"] < 1e-5
    assert "reconstructed with 2" in result.text
    assert not (tmp_path / "out.parts").exists()
    wrong = score(targets, tmp_path / "other.json", seed=1, remove="Cl")
    assert wrong["guests"] == {"Cl": 1}


def test_a_range_tests_the_count_and_more_samples_add_to_those_there_are(targets, tmp_path):
    keep = tmp_path / "kept"
    Filler.drawn = 0
    one = score(targets, tmp_path / "a.json", range=True, keep=keep)
    two = score(targets, tmp_path / "b.json", range=True, keep=keep, samples=2)
    assert Filler.drawn == 2
    assert one["exact_count"]["value"] == two["exact_count"]["value"] == 1
    entries = [json.loads(line) for line in (keep / "draws.jsonl").read_text().splitlines()]
    assert [len(e["species"]) for e in entries] == [2, 3]
    assert [
        json.loads(x)["result"][0] is None for x in (keep / "pairs.jsonl").read_text().splitlines()
    ] == [False, True]
    with pytest.raises(InputError, match=r"\(range differ\)"):  # it is another benchmark
        score(targets, tmp_path / "c.json", keep=keep)


def test_refused_hosts_count_as_misses(tmp_path, toy_miad):
    path = tmp_path / "large.safetensors"
    heavy = Structure(Lattice.cubic(5), ["U", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    PackedCrystals(from_structures([heavy])).save(path)
    sampler = StructureSampler("miad", str(toy_miad), "cpu")
    result = run(path, tmp_path / "o.json", sampler)
    content = result.content
    assert content["reconstructed"]["1"]["value"] == content["exact_count"]["value"] == 0
    assert [names for names in content["refused_targets"].values()] == [["0"]]
    assert "refused" in result.text


def test_what_is_no_element_cannot_be_removed(targets, tmp_path):
    assert removable_elements("Li-Na") == {"Li", "Na"}
    assert removable_elements(None) == frozenset()
    with pytest.raises(InputError, match="'Xx' is no chemical element"):
        score(targets, tmp_path / "x.json", remove="Xx")
