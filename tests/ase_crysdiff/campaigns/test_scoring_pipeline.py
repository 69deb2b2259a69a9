"""Files in, report out: what is in it, and that a kill at any moment changes nothing of it."""

import csv
import json

import pytest
from killing import ended, killed
from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.pipeline import evaluate_files, evaluate_structures
from ase_crysdiff.campaigns.evaluation.relaxing import Options
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.metrics import composition
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.relaxation import grouped
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import evaluate

ELEMENTS = ["Cu", "Na", "Cl", "Sr", "Ti", "O", "Mo", "S", "Li", "Mg", "Al", "Si", "P"]
REPORTED = ("report.html", "results.json", "table.csv", "relaxed/crystals.extxyz")


class Toy(PairPotential):
    """With reference energies, so that it can be set beside a hull."""

    formation_references = dict.fromkeys(range(1, 100), 0.0)


@pytest.fixture
def hull(tmp_path):
    path = tmp_path / "hull.csv"
    rows = [*(f"{e},0.0" for e in ELEMENTS), "NaCl,-0.5"]
    path.write_text("reduced_formula,hull_energy_per_atom\n" + "\n".join(rows) + "\n")
    assert Hull.read(path).energy("NaCl") == -0.5
    return path


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "known.safetensors"
    PackedCrystals(from_structures([prototypes()["NaCl"]]), metadata={"sources": "salt"}).save(path)
    return path


@pytest.fixture
def files(crystal_files):
    return crystal_files(6, deviation=0.01, broken=True)


def test_pipeline_scores_files(files, hull, reference, tmp_path):
    out = tmp_path / "out"
    results = evaluate_files(
        [files], out, reference=reference, hull=hull, potential=Toy(), workers=0, progress=False
    )
    funnel = {s["stage"]: s["count"] for s in results["funnel"]}
    assert funnel["Requested"] == 7
    assert funnel["Read"] == funnel["Sound"] == 6
    assert [s["count"] for s in results["funnel"]] == sorted(funnel.values(), reverse=True)
    assert [(e["name"], e["stage"]) for e in results["lost"] if e["stage"] == "read"] == [
        ("broken", "read")
    ]
    assert results["metrics"]["structural_validity"]["value"] == pytest.approx(6 / 7)
    assert results["metrics"]["novelty"]["settings"]["crystals"] == 1
    incomplete, too_deep = results["notes"]
    assert "lacks compounds that the shipped table knows to be lower" in incomplete
    assert "more than 0.1 eV/atom below the hull" in too_deep
    assert json.loads((out / "results.json").read_text()) == results
    kinds = results["breakdown"]
    with (out / "table.csv").open() as table:
        judged = [r for r in csv.DictReader(table) if r["hull_complete"] == "True"]
    listed = [r["on_listed_formula"] for r in judged if not r["lost_at"]]
    counts = {
        r["group"].partition(":")[0]: r["crystals"]
        for r in kinds["Formula in the table of the hull"]
    }
    assert counts == {"listed": len(listed)}  # where the toy table lacks rivals nothing is judged
    assert set(listed) == {"True"}
    for rows in kinds.values():
        for verdict, metric in (
            ("stable", "stability"),
            ("metastable", "metastability"),
            ("sun", "sun"),
            ("msun", "msun"),
        ):
            found = results["metrics"][metric]
            hits = round(found["settings"]["judged"] * found["value"])
            assert sum(r[verdict] for r in rows) == hits
    with (out / "table.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [r["name"] for r in rows] == ["0", "1", "2", "3", "4", "5", "broken"]
    assert rows[6]["reason"].startswith("unreadable")
    assert rows[1]["novel"] == "False"
    cifs = list((out / "relaxed").glob("*.cif"))
    assert len(cifs) == 6
    assert isinstance(Structure.from_file(cifs[0]), Structure)
    page = (out / "report.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")

    before = {name: (out / name).read_bytes() for name in REPORTED}
    again = evaluate_files(
        [files], out, reference=reference, hull=hull, potential=Toy(), workers=0, progress=False
    )
    assert again == results
    assert {name: (out / name).read_bytes() for name in REPORTED} == before
    with pytest.raises(InputError, match=r"other settings \(fmax differ\)"):
        evaluate_files(
            [files],
            out,
            reference=reference,
            hull=hull,
            potential=Toy(),
            options=Options(fmax=0.1),
            workers=0,
        )


def test_pipeline_without_a_potential_and_with_the_open_reference(tmp_path):
    structures = [prototypes()["NaCl"], prototypes()["NaCl"], prototypes()["chain"], None]
    results = evaluate_structures(structures, tmp_path / "out", potential=None, workers=0)
    assert [s["count"] for s in results["funnel"]] == [4, 3, 3, 2, 1]
    assert len(results["notes"]) == 1
    assert "partial" in results["notes"][0]
    assert not (tmp_path / "out" / "relaxed").exists()
    assert "partial" in (tmp_path / "out" / "report.html").read_text()


def test_pipeline_without_reference_and_hull(tmp_path):
    structures = [prototypes()["NaCl"], prototypes()["SrTiO3"], None]
    results = evaluate_structures(
        structures,
        tmp_path / "out",
        reference=None,
        hull=None,
        potential=PairPotential(),
        workers=0,
        progress=False,
    )
    assert [s["stage"] for s in results["funnel"]] == [
        "Requested",
        "Read",
        "Sound",
        "Relaxed",
        "Sound after relaxing",
        "Unique",
    ]
    assert results["notes"] == []
    assert results["reference"] == results["hull"] == {}
    assert {"novelty", "stability", "sun"}.isdisjoint(results["metrics"])
    with (tmp_path / "out" / "table.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert float(rows[0]["energy_per_atom"]) < 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Novel" not in page
    assert "above hull" not in page


def test_without_smact_one_metric_is_missing_and_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(composition, "find_spec", lambda name: None)
    structures = [prototypes()["NaCl"], prototypes()["chain"]]
    results = evaluate_structures(structures, tmp_path / "out", potential=None, workers=0)
    assert "compositional_validity" not in results["metrics"]
    assert any("pip install 'ase-crysdiff[metrics]'" in note for note in results["notes"])
    assert "SMACT is not installed" in (tmp_path / "out" / "report.html").read_text()
    with pytest.warns(UserWarning, match="SMACT is not installed"):
        found = evaluate(structures, targets=structures, workers=0)
    assert found["match_rate"].value == 1.0
    assert {"match_rate_diffcsp", "compositional_validity"}.isdisjoint(found)


def test_nonsense_is_refused_before_the_folder_is_made(files, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"absent\.cif does not exist"):
        evaluate_files([files, "absent.cif"], out)
    with pytest.raises(InputError, match="fmax must be"):
        evaluate_files([files], out, options=Options(fmax=0.0))
    with pytest.raises(UnknownNameError):
        evaluate_files([files], out, profile="nobody")
    with pytest.raises(UnknownNameError):
        evaluate_files([files], out, potential="nothing")
    assert not out.exists()


def score_in_pairs(files, out, reference, hull):
    """Relaxes two crystals at a time, so that there are moments between."""
    grouped.GROUP = 2, 384
    evaluate_files(
        [files], out, reference=reference, hull=hull, potential=Toy(), workers=0, progress=False
    )


@pytest.mark.slow
def test_kill_at_any_moment_leaves_the_same_report(files, hull, reference, tmp_path):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert ended(score_in_pairs, files, whole, reference, hull) == 0
    for awaited in ("stages/entries.json", "stages/relaxed-0000.json", "stages/relaxed-0001.json"):
        killed(score_in_pairs, files, torn, reference, hull, once=(torn / awaited).exists)
    (torn / "stages" / "relaxed-0002.json.part").write_text('[{"index": 4, "stru')
    assert ended(score_in_pairs, files, torn, reference, hull) == 0
    assert {n: (torn / n).read_bytes() for n in REPORTED} == {
        n: (whole / n).read_bytes() for n in REPORTED
    }
