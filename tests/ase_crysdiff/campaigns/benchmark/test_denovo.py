"""The benchmark of free draws: it scores what a sampler hands out, and goes on after a kill."""

import pytest
from benchmark_toys import lasting

from ase_crysdiff.campaigns.benchmark.denovo import DenovoOptions, denovo
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.uniqueness import uniqueness
from pymatgen_ext.evaluation import evaluate
from pymatgen_ext.samplers import StructureSampler


@pytest.fixture
def options(crystals, tmp_path):
    data = tmp_path / "crystals.safetensors"
    crystals.save(data)
    return {"num_samples": 8, "training": data, "validation": data, "steps": 3}


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


def test_metrics_name_what_they_compare_with(toy_miad, options, tmp_path):
    results = run(toy_miad, tmp_path / "d.json", **options).content["results"]
    assert {"structural_validity (training)", "density_distance (validation)"} <= results.keys()
    assert results["structural_validity (training)"]["interval"][0] >= 0
    assert not (tmp_path / "d.parts").exists()


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
