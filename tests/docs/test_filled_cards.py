"""Cards of the weights that ship say what the committed result files say."""

import importlib
from pathlib import Path

import pytest

from ase_crysdiff.campaigns.benchmark.suite.entries import shipped_suite
from ase_crysdiff.campaigns.benchmark.suite.result_file import Earlier, ResultFile
from ase_crysdiff.campaigns.benchmark.suite.rows import Row
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.weights import find, read_card

ROWS = {
    "curve/1/rmse": Row(0.123456, None, 9),
    "by/a/rate": Row(0.5, (0.41234567, 0.6), 4),
    "by/b/rate": Row(0.25, None, 5),
    "moved": Row(5.351828e-07),
    "none": Row(None),
}
FOUND = ResultFile("x", "crysdiff benchmark x", "0.2.0", "2026-11-29", ROWS, steps=20)


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools")
    return importlib.import_module("fill_cards")


def test_cards_are_those_of_the_files(tool, capsys):
    assert tool.main(["--check"]) == 0, capsys.readouterr().out


def test_every_section_names_a_benchmark_of_its_weights(tool):
    said = tool.declared()
    for name, sections in said["cards"].items():
        for section in sections.values():
            (entry,) = shipped_suite().chosen([section["benchmark"]])
            others = {"random-assembly"}  # stands beside mofflow, and has no weights
            assert name in entry.weights or entry.words()[1] in others
            assert set(section["figures"]) <= set(said["figures"])


@pytest.mark.parametrize(
    ("card", "way", "benchmark", "row"),
    [
        ("wyckoff", ["results", "top-5 match rate"], "csp-wyckoff-unknown", "curve/5/match_rate"),
        (
            "dao-g-flow",
            ["scaffold given", "by free coordinates", "> 10"],
            "csp-dao-g-flow-scaffold",
            "by_free_coordinates/> 10/curve/1/match_rate",
        ),
        ("band-gap", ["results", "MAE"], "predictor-band-gap", "results/MAE of band-gap"),
        (
            "mofflow",
            ["results", "stol 1", "5 samples", "match_rate"],
            "frameworks-mofflow",
            "results/stol 1/5 samples/match_rate",
        ),
    ],
)
def test_figures_stand_in_their_places(tool, card, way, benchmark, row):
    node = read_card(find(card)).measured
    for name in way:
        node = node[name]
    assert node["value"] == pytest.approx(tool.result(benchmark).rows[row].value, abs=6e-5)


def test_a_section_is_made_anew_and_the_rest_stays(tool):
    section = {"what": "kept", "results": {"stale": 1}, "weights": "of before", "day": "2020-01-01"}
    figures = {"results/rmse": "curve/1/rmse", "by kind/*": "by/*/rate", "also *": "moved/*"}
    tool.fill(section, FOUND, figures)
    assert section == {
        "what": "kept",
        "day": "2026-11-29",
        "command": "crysdiff benchmark x",
        "evaluations_per_draw": 20,
        "results": {"rmse": {"value": 0.1235, "n": 9}},
        "by kind": {
            "a": {"value": 0.5, "interval": [0.4123, 0.6], "n": 4},
            "b": {"value": 0.25, "n": 5},
        },
    }


def test_figures_of_earlier_weights_say_so(tool):
    section = {}
    tool.fill(section, ResultFile(**vars(FOUND) | {"earlier": Earlier("†", "weights 123")}), {})
    assert section["weights"] == "weights 123"


def test_numbers_keep_what_they_show(tool):
    assert tool.shown(ROWS["moved"]) == {"value": 5.4e-07}
    assert tool.shown(ROWS["none"]) == {"value": None}
    assert [tool.rounded(v) for v in (0.0, 17, 0.00123456, 0.99999)] == [0.0, 17, 0.0012, 1.0]


def test_a_row_that_is_not_there_is_refused(tool):
    with pytest.raises(InputError, match="x has no figure 'curve/5/rmse'"):
        tool.fill({}, FOUND, {"results/rmse": "curve/5/rmse"})


def test_a_card_that_differs_is_told_and_written(tool, tmp_path, monkeypatch, capsys):
    card = read_card(find("geobfn")).as_dict()
    card["measured"]["results"]["valid"]["value"] = 0.99
    tool.write_card(tmp_path, card)
    monkeypatch.setattr(tool, "find", lambda name: tmp_path)
    said = tool.declared()
    only = {"figures": said["figures"], "cards": {"geobfn": said["cards"]["geobfn"]}}
    monkeypatch.setattr(tool, "declared", lambda: only)
    assert tool.main(["--check"]) == 1
    assert "the card of geobfn differs" in capsys.readouterr().out
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0


def test_files_of_other_weights_fill_no_card(tool, monkeypatch, capsys):
    def refuse(name):
        raise InputError(f"{name}.json does not hold for what ships")

    monkeypatch.setattr(tool, "result", refuse)
    assert tool.main([]) == 1
    assert "prototypes: csp-prototypes.json does not hold" in capsys.readouterr().err
