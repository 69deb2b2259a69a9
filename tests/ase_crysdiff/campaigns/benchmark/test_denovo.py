"""The benchmark of free draws: it scores what a sampler hands out, and goes on after a kill."""

import pytest
import torch
from benchmark_toys import lasting, write_table

from ase_crysdiff.campaigns.benchmark.denovo import DenovoOptions, denovo
from ase_crysdiff.campaigns.benchmark.library import scaffolds_of_library
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.registry import SAMPLERS, register, unregister
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext.evaluation import evaluate
from pymatgen_ext.samplers import StructureSampler


@pytest.fixture
def options(crystals, tmp_path):
    data = tmp_path / "crystals.safetensors"
    crystals.save(data)
    return {"num_samples": 8, "training": data, "validation": data, "steps": 3, "workers": 0}


def run(toy, output, how=evaluate, **options):
    sampler = StructureSampler("miad", str(toy), "cpu")
    return denovo(DenovoOptions(output=output, **options), sampler, how)


def test_first_draws_of_the_sampler_are_scored(toy_miad, options, tmp_path, capsys):
    """The draws that `sample` accepts without a second attempt, and None for the others."""
    seen = []

    def uniqueness_only(structures, **keywords):
        seen.extend(structures)
        return {"uniqueness": uniqueness(structures)}

    result = run(toy_miad, tmp_path / "d.json", uniqueness_only, **options)
    sampler = StructureSampler("miad", str(toy_miad), "cpu")
    samples = sampler.sample(8, seed=0, steps=3, redraws=0)
    drawn = {s.properties["crysdiff_index"]: s for s in samples}
    assert [s is not None for s in seen] == [i in drawn for i in range(8)]
    for i, structure in drawn.items():
        assert seen[i].species == structure.species
        assert seen[i].lattice == structure.lattice
        assert (seen[i].frac_coords == structure.frac_coords).all()
    assert result.content["rejections"] == dict(samples.report.rejections)
    assert result.content["weights"] == sampler.version
    assert f"{len(drawn)} of 8 crystals by miad (seed 0)" in result.text
    assert capsys.readouterr().out == ""


def test_sites_of_known_crystals_are_given(toy_miad, options, tmp_path):
    """Every draw has those of a crystal of the library, with elements of its own."""
    seen = []

    def nothing(structures, **keywords):
        seen.extend(structures)
        return {"uniqueness": uniqueness(structures)}

    run(toy_miad, tmp_path / "d.json", nothing, known_sites=True, **options)
    largest = StructureSampler("miad", str(toy_miad), "cpu").max_atoms
    given = scaffolds_of_library(8, 0, largest)
    assert given[:3] == scaffolds_of_library(3, 0, largest)
    assert any(structure is not None for structure in seen)
    for structure, scaffold in zip(seen, given, strict=True):
        assert scaffold.num_atoms <= largest
        if structure is None:
            continue
        assert len(structure) == scaffold.num_atoms
        counts = structure.composition.get_el_amt_dict().values()
        assert sorted(counts) == sorted(scaffold.counts.values())
        found = find_symmetric(structure, 1e-3).scaffold.space_group
        assert len(found.rotations) >= len(scaffold.space_group.rotations)


def test_metrics_name_what_they_compare_with(toy_miad, options, tmp_path):
    results = run(toy_miad, tmp_path / "d.json", **options).content["results"]
    assert {"structural_validity (training)", "density_distance (validation)"} <= results.keys()
    assert results["structural_validity (training)"]["interval"][0] >= 0
    assert not (tmp_path / "d.parts").exists()


class Copies(Sampler):
    """Draws the training crystals again, a failure among them."""

    label = "copies"

    def __init__(self, crystals):
        self.crystals = crystals

    def sample(self, request, streams):
        batch = self.crystals.batch
        drawn = batch.select([i % len(batch) for i in streams.indices]).split()
        if 1 in streams.indices:
            drawn[streams.indices.index(1)].frac_coords[:] = torch.nan
        return Sampled(CrystalBatch.cat(drawn))


@pytest.fixture
def copies(options):
    register(SAMPLERS, "copies", lambda w, d: Copies(PackedCrystals.load(options["training"])))
    yield StructureSampler("copies")
    unregister(SAMPLERS, "copies")


def test_symmetry_of_copies_is_that_of_the_crystals(copies, options, tmp_path):
    """Copies of rattled prototypes: no prototype is new, and their groups are those of the others
    at 0.1 Å, at 0.01 Å none.
    """
    options = {**options, "num_samples": 60}
    result = denovo(DenovoOptions(output=tmp_path / "d.json", **options), copies, evaluate)
    values = {name: r["value"] for name, r in result.content["results"].items()}
    assert values["prototype_novelty (library)"] == 0
    assert values["symmetry_success_tight (training)"] < 0.2
    assert values["symmetry_success (training)"] > values["symmetry_success_tight (training)"]
    assert values["space_groups (training)"] == values["space_groups (validation)"] < 0.1
    new = result.content["results"]["prototype_novelty (library)"]["settings"]
    assert new["library"] == options["training"].name
    assert result.content["rejections"] == {"not finite": 1}


def test_prototypes_are_new_beside_another_library(copies, options, tmp_path):
    library = write_table(tmp_path / "known.csv.gz", [prototypes()["NaCl"]])
    options = {**options, "library": library}
    result = denovo(DenovoOptions(output=tmp_path / "d.json", **options), copies, evaluate)
    found = result.content["results"]["prototype_novelty (library)"]
    assert 0.5 < found["value"] < 1
    assert found["failures"] == found["settings"]["prototypes"] == 1
    assert 0 < found["settings"]["beyond_p_1"] <= found["value"]


def test_relaxed_draws_are_judged_if_there_is_a_potential(copies, options, tmp_path):
    asked = []

    def noting(structures, **keywords):
        asked.append(keywords)
        return evaluate(structures, **(keywords | {"hull": None, "potential": None}))

    more = {"potential": "dao-p", "hull": "table.csv", "num_samples": 2}
    denovo(DenovoOptions(output=tmp_path / "a.json", **{**options, **more}), copies, noting)
    denovo(DenovoOptions(output=tmp_path / "b.json", **options), copies, noting)
    assert [(a["potential"], a["hull"]) for a in asked] == [("dao-p", "table.csv"), (None, None)]


def test_kept_draws_are_drawn_once(toy_miad, options, tmp_path):
    kept = tmp_path / "kept"
    first = run(toy_miad, tmp_path / "a.json", keep=kept, **{**options, "num_samples": 4})
    lines = (kept / "draws.jsonl").read_bytes()
    more = run(toy_miad, tmp_path / "b.json", keep=kept, **options)
    assert (kept / "draws.jsonl").read_bytes().startswith(lines)
    whole = run(toy_miad, tmp_path / "c.json", **options)
    assert lasting(more.content) == lasting(whole.content)
    assert first.content["draws"] == 4
    with pytest.raises(InputError, match=r"\(seed differ\)"):
        run(toy_miad, tmp_path / "b.json", keep=kept, seed=1, **options)


def test_nonsense_is_refused_before_anything_is_read(tmp_path):
    absent = tmp_path / "absent.safetensors"
    for change, message in (({"num_samples": 0}, "num-samples"), ({"steps": 0}, "steps")):
        given = {"training": absent, "validation": absent, **change}
        with pytest.raises(InputError, match=f"{message} must be"):
            run(absent, tmp_path / "d.json", **given)
