"""Evaluation as a jobflow job."""

from pathlib import Path

import pytest
from monty.json import MontyDecoder, MontyEncoder

from ase_crysdiff.testing.crystals import prototypes

jobflow = pytest.importorskip("jobflow", reason="pip install 'ase-crysdiff[workflows]'")


def test_job_writes_the_report_in_its_folder(tmp_path, monkeypatch):
    import json

    from jobflow import JobStore, run_locally
    from maggma.stores import MemoryStore

    from pymatgen_ext.jobs import EvaluateMaker

    monkeypatch.chdir(tmp_path)
    maker = json.loads(
        json.dumps(EvaluateMaker(potential=None), cls=MontyEncoder), cls=MontyDecoder
    )
    assert maker == EvaluateMaker(potential=None)
    job = maker.make([prototypes()["NaCl"], prototypes()["chain"]])
    assert job.name == "evaluate structures"
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    output = run_locally(job, store=store, create_folders=True, ensure_success=True)[job.uuid][
        1
    ].output
    assert output["funnel"][0]["count"] == 2
    assert output["metrics"]["structural_validity"]["value"] == 1.0
    assert (Path(output["folder"]) / "report.html").exists()


def test_a_flow_draws_relaxes_and_predicts(tmp_path, monkeypatch):
    from jobflow import Flow, JobStore, run_locally
    from maggma.stores import MemoryStore

    from ase_crysdiff.relaxation.relax_set import RelaxSet
    from pymatgen_ext.jobs import PredictMaker, RelaxMaker, SampleMaker

    monkeypatch.chdir(tmp_path)
    wishes = {"composition": "NaCl", "steps": 5}
    drawn = SampleMaker(sampler="prototypes", wishes=wishes).make(2, seed=0)
    relaxed = RelaxMaker(steps=5).make(drawn.output)
    predicted = PredictMaker(properties=("formation-energy",)).make(relaxed.output)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    done = run_locally(Flow([drawn, relaxed, predicted]), store=store, ensure_success=True)
    found = done[predicted.uuid][1].output["formation-energy"]
    assert len(found["values"]) == 2
    assert found["unit"] == "eV/atom"
    assert isinstance(done[relaxed.uuid][1].output, RelaxSet)
