"""`discover` from end to end, with one sampler and few draws."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.db import connect
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from ase_crysdiff.diffraction.simulation import simulate_pattern
from ase_crysdiff.errors import IncompatibleError, InputError, UnknownNameError
from pymatgen_ext import StructureSampler, discover, energy_above_hull

HOW = {"samplers": ("prototypes",), "draws": 64, "predict": (), "seed": 3, "progress": False}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("discovery") / "out"
    return discover("Ti-Ni-Sn", 3, folder=folder, **HOW)


def digest(discovery):
    return [
        (f.key, round(f.height, 6), f.structure.lattice.matrix.round(5).tolist())
        for f in (*discovery.candidates, *discovery.rediscovered)
    ]


@pytest.mark.slow
def test_candidates_are_new_distinct_low_and_ranked(found):
    assert len(found) == 3
    heights = [f.height for f in found.candidates]
    assert heights == sorted(heights)
    assert heights[-1] <= 0.1
    for find, structure in zip(found.candidates, found, strict=True):
        assert {e.symbol for e in structure.composition} == {"Ti", "Ni", "Sn"}
        assert find.known is False
        assert find.dynamics
        assert structure.properties["crysdiff_energy_above_hull"] == find.height
        assert "mp-" in find.origin or "oqmd-" in find.origin or "agm" in find.origin
        assert "this compound" not in find.origin


@pytest.mark.slow
def test_heights_are_those_of_the_relaxed_crystals(found):
    every = (*found.candidates, *found.rediscovered)
    said = energy_above_hull([f.structure for f in every])
    assert [f.height for f in every] == pytest.approx(said.energy_above_hull.tolist(), abs=2e-4)
    assert [f.listed for f in every] == said.is_listed.tolist()


@pytest.mark.slow
def test_known_compounds_are_found_again_and_are_no_candidates(found):
    again = {f.formula for f in found.rediscovered}
    assert {"TiNiSn", "TiNi2Sn"} <= again
    lowest = {f.formula: f for f in found.rediscovered}["TiNi2Sn"]
    assert "known" in " ".join(lowest.remarks) or lowest.known


@pytest.mark.slow
def test_the_funnel_only_narrows(found):
    stages = {name: count for name, count, _ in found.funnel}
    order = ["asked", "drawn", "different", "relaxed", "judged", "low", "distinct", "new"]
    counts = [stages[name] for name in order]
    assert counts == sorted(counts, reverse=True)
    assert stages["asked"] == 64
    assert stages["candidates"] == len(found)


@pytest.mark.slow
def test_all_files_are_there_and_agree(found):
    folder = found.folder
    assert len(list((folder / "candidates").glob("*.cif"))) == 3
    page = (folder / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    for find in found.candidates:
        assert find.formula[:2] in page
    with connect(folder / "candidates.db") as database:
        energies = [row.energy / row.natoms for row in database.select()]
    assert energies == pytest.approx([f.result.energy_per_atom for f in found.candidates])
    results = json.loads((folder / "results.json").read_text())
    assert results["settings"]["seed"] == 3
    assert (folder / "candidates.csv").read_text().count("\n") == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "left", [("drawn-0000.json",), ("drawn-0000.json", "relaxed-0000-00.json")]
)
def test_a_killed_run_ends_with_the_same_candidates(found, tmp_path, left):
    folder = tmp_path / "out"
    shutil.copytree(found.folder, folder)
    for file in (folder / "stages").iterdir():
        if file.stem not in left:
            file.unlink()
    (folder / "report.html").unlink()
    again = discover("Ti-Ni-Sn", 3, folder=folder, **HOW)
    assert digest(again) == digest(found)
    assert (folder / "report.html").exists()


@pytest.mark.slow
def test_processes_change_nothing(found):
    assert digest(discover("Ti-Ni-Sn", 3, workers=2, **HOW)) == digest(found)


@pytest.mark.slow
def test_another_wish_does_not_continue_a_folder(found):
    with pytest.raises(InputError, match="other settings") as error:
        discover("Ti-Ni-Sb", 3, folder=found.folder, **HOW)
    assert "Ti-Ni-Sb" in str(error.value) or "Sb" in str(error.value)
    with pytest.raises(InputError, match="seed"):
        discover("Ti-Ni-Sn", 3, folder=found.folder, **{**HOW, "seed": 4})


@pytest.mark.slow
def test_structures_of_a_formula_with_a_window_of_a_property(tmp_path):
    how = {**HOW, "draws": 16, "dynamics": False, "new_only": False}
    found = discover("NaCl", 2, properties={"band_gap": (3.0, None)}, folder=tmp_path / "a", **how)
    assert found
    assert found.candidates[0].formula == "NaCl"
    for find in found.candidates:
        assert find.properties["band-gap"][0] >= 3.0
    none = discover("NaCl", 2, properties={"band-gap": (None, 0.5)}, folder=tmp_path / "b", **how)
    assert not none
    page = (tmp_path / "b" / "report.html").read_text()
    assert "No candidate is left" in page


@pytest.mark.slow
def test_a_sampler_that_only_draws_freely_serves_a_prototype(tmp_path):
    how = {**HOW, "draws": 16, "dynamics": False, "max_above_hull": 0.5}
    found = discover(None, 1, prototype="Pm-3m a|b|c", **how)
    assert all(f.structure.composition.num_atoms == 5 for f in found.candidates)
    assert found.funnel[0][1] == 0


@pytest.mark.slow
def test_a_powder_pattern_ranks_the_structures_of_a_formula(tmp_path):
    cell = Lattice.tetragonal(4.594, 2.959)
    rutile = Structure.from_spacegroup(136, cell, ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]])
    scan = simulate_pattern(rutile, noise=0.01, rng=np.random.default_rng(0))
    file = tmp_path / "scan.xy"
    np.savetxt(file, np.stack([scan.two_theta, scan.intensity], 1))
    how = {**HOW, "draws": 32, "folder": tmp_path / "out"}
    found = discover("TiO2", 5, pattern=file, **how)
    residuals = [f.fit.residual for f in found.candidates]
    assert StructureMatcher().fit(found[0], rutile)
    assert residuals[0] < 0.05
    assert residuals[-1] > 0.5
    assert "fits the pattern" in found.notes[-1]
    (fitted,) = (tmp_path / "out" / "fitted").glob("0000-*.cif")
    lengths = sorted(Structure.from_file(fitted).lattice.abc)
    assert lengths == pytest.approx([2.959, 4.594, 4.594], rel=2e-3)
    assert "data:image/svg+xml" in (tmp_path / "out" / "report.html").read_text()


def test_a_pattern_needs_a_formula_and_peaks(tmp_path):
    angles = np.arange(10.0, 80.0, 0.02)
    flat = np.stack([angles, np.full_like(angles, 5.0)], 1)
    with pytest.raises(InputError, match="peak|stands out"):
        discover("TiO2", 3, pattern=flat, **HOW)
    rutile = Structure(Lattice.cubic(4.2), ["Ti"], [[0, 0, 0]])
    with pytest.raises(InputError, match="one formula"):
        discover("Ti-O", 3, pattern=simulate_pattern(rutile), **HOW)


@pytest.mark.parametrize(
    ("arguments", "more", "error", "words"),
    [
        ((), {}, InputError, "Nothing is wished"),
        (("Li-Xx-O",), {}, InputError, "Xx"),
        (("H-Li-Na-K-Rb-Cs-Be-Mg-O",), {}, InputError, "9 elements"),
        (("Li-O", 0), {}, InputError, "num_candidates"),
        (("Li-O", 20), {"draws": 5}, InputError, "5 draws cannot give 20"),
        (("Li-O",), {"draws": "many"}, InputError, "draws is a number"),
        (("Li-O",), {"minutes": 0}, InputError, "minutes"),
        (("Li-O",), {"max_above_hull": 5}, InputError, "max_above_hull"),
        (("Li-O",), {"samplers": "miad"}, InputError, "several names"),
        (("Li-O",), {"samplers": ("nix",)}, UnknownNameError, "nix"),
        (("Li-O",), {"properties": {"colour": (1, 2)}}, UnknownNameError, "colour"),
        (("Li-O",), {"properties": {"band-gap": 3}}, InputError, "two numbers"),
        (("Li-O",), {"properties": {"band-gap": (3, 1)}}, InputError, "no value"),
        (("Li2O",), {"elements": "Li-O"}, InputError, "one of a formula"),
        (("Li-O",), {"judge": "nix"}, UnknownNameError, "nix"),
        (("Li-O",), {"samplers": ("chggen",)}, IncompatibleError, "chggen"),
        (("Li-O",), {"seed": -1}, InputError, "seed"),
        (("Xe-F",), {}, IncompatibleError, "dao-p does not know Xe; it knows H, Li-F.*another"),
        (("XeF2",), {}, IncompatibleError, "dao-p does not know Xe"),
    ],
)
def test_senseless_calls_are_refused_before_anything_is_drawn(
    arguments, more, error, words, monkeypatch
):
    monkeypatch.setattr(StructureSampler, "collect", None)
    with pytest.raises(error, match=words):
        discover(*arguments, **more)


@pytest.mark.slow
def test_a_job_discovers_and_another_computes_the_winners(tmp_path, monkeypatch):
    pytest.importorskip("jobflow", reason="pip install 'ase-crysdiff[workflows]'")
    from jobflow import JobStore, run_locally
    from maggma.stores import MemoryStore
    from monty.json import MontyDecoder, MontyEncoder

    from pymatgen_ext.discovery_jobs import DiscoverAndComputeMaker, DiscoverMaker
    from pymatgen_ext.jobs import RelaxMaker

    monkeypatch.chdir(tmp_path)
    options = {**HOW, "draws": 16, "dynamics": False, "new_only": False}
    maker = DiscoverAndComputeMaker(
        discover_maker=DiscoverMaker(num_candidates=2, options=options),
        compute_maker=RelaxMaker(steps=2),
        most=1,
    )
    again = json.loads(json.dumps(maker, cls=MontyEncoder), cls=MontyDecoder)
    flow = again.make("NaCl")
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    done = run_locally(flow, store=store, create_folders=True, ensure_success=True)
    document = done[flow.jobs[0].uuid][1].output
    assert document["candidates"][0]["formula"] == "NaCl"
    assert (Path(document["folder"]) / "report.html").exists()
    (relaxed,) = [r for r in done[flow.jobs[1].uuid].values() if r.output][-1:]
    assert len(relaxed.output) == 1
