"""The benchmark of patterns: a ranker whose right candidates do not stand first."""

import json

import pytest
from benchmark_toys import Ranker, contents_of, lasting, write_table

from ase_crysdiff.campaigns.benchmark.pattern import PatternOptions, pattern
from ase_crysdiff.errors import InputError
from ase_crysdiff.registry import SAMPLERS, register, unregister
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext.samplers import StructureSampler

TARGETS = prototypes()


def scaled(name, factor):
    structure = TARGETS[name].copy()
    structure.scale_lattice(structure.volume * factor)
    return structure


def exchanged(name, **elements):
    structure = TARGETS[name].copy()
    structure.replace_species(elements)
    return structure


@pytest.fixture
def ranker():
    """Of salt only caesium chloride's structure first; of the perovskite Ti and Sr exchanged first,
    then the right one; nothing right for copper's salt.
    """
    salt, perovskite = TARGETS["NaCl"], TARGETS["SrTiO3"]
    simple = salt.copy()
    simple = type(salt)(type(salt.lattice).cubic(3.5), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    swapped = exchanged("SrTiO3", Sr="Ti", Ti="Sr")
    candidates = {
        contents_of(salt): [simple, scaled("NaCl", 1.08)],
        contents_of(perovskite): [swapped, scaled("SrTiO3", 0.93)],
    }
    register(SAMPLERS, "ranker", lambda weights, device: Ranker(candidates))
    yield StructureSampler("ranker")
    unregister(SAMPLERS, "ranker")


@pytest.fixture
def options(tmp_path):
    table = write_table(tmp_path / "targets.csv.gz", [TARGETS["NaCl"], TARGETS["SrTiO3"]])

    def of(**more):
        settings = {"targets": table, "samples": 2, "workers": 0}
        return PatternOptions(**settings | {"output": tmp_path / "pattern.json"} | more)

    return of


def test_the_pattern_finds_the_right_ones(ranker, options):
    content = pattern(options(), ranker).content
    rates = {name: one.get("value") for name, one in content["results"].items()}
    assert rates["right first without the pattern"] == 0
    assert rates["right first with the pattern"] == 1
    assert rates["right one among them"] == 1
    assert rates["one fits, right one among them"] == 1
    assert rates["one fits, right ones left out"] == 0
    assert "one fits, none is right" not in rates
    assert content["failures"] == {}
    for one in content["targets_in_detail"]:
        assert one["order"] == [1, 0]
        assert one["misfits"][0] < 0.2 < one["misfits"][1]
        assert 0.1 <= one["width"] <= 0.3


def test_a_killed_run_goes_on_and_says_the_same(ranker, options, tmp_path):
    kept = tmp_path / "kept"
    whole = pattern(options(keep=kept), ranker).content
    journal = kept / "fits-2.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text(lines[0] + "\n" + lines[1][: len(lines[1]) // 2])
    again = pattern(options(keep=kept), ranker).content

    def plain(content):
        kept = json.loads(json.dumps(lasting(content)))
        kept["results"].pop("seconds for a pattern")
        for one in kept["targets_in_detail"]:
            one.pop("seconds")
        return kept

    assert plain(again) == plain(whole)
    with pytest.raises(InputError, match="noise"):
        pattern(options(keep=kept, noise=0.02), ranker)


def test_the_seed_draws_width_and_noise(ranker, options, tmp_path):
    first = pattern(options(), ranker).content["targets_in_detail"]
    other = pattern(options(seed=1, output=tmp_path / "b.json"), ranker).content
    assert first[0]["width"] != first[1]["width"]
    assert first[0]["width"] != other["targets_in_detail"][0]["width"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"noise": -0.1}, "noise must be"),
        ({"least_width": 0.4}, "widths of the patterns must ascend"),
        ({"last_angle": 200.0}, "angles of the patterns must ascend"),
        ({"wavelength": 154.0}, "wavelength must be between"),
        ({"fit_timeout": 0.0}, "fit-timeout must be"),
    ],
)
def test_nonsense_is_refused_before_anything_is_drawn(ranker, options, tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        pattern(options(**more), ranker)
    assert not (tmp_path / "pattern.parts").exists()


def test_candidates_can_be_relaxed_first(ranker, options):
    content = pattern(options(rerank="dao-p"), ranker).content
    assert content["rerank"] == "dao-p"
    assert content["results"]["right first with the pattern"]["value"] == 1
