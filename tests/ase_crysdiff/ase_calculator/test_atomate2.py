"""atomate2 takes the calculator by import string."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

pytest.importorskip(
    "atomate2", reason="atomate2 is not installed: pip install 'ase-crysdiff[workflows]'"
)

#: Databases keep this string for years.
CALCULATOR = "ase_crysdiff.ase_calculator.DAOPCalculator"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_static_and_relaxation_run_end_to_end(folder, tmp_path, monkeypatch):
    from atomate2.forcefields.jobs import ForceFieldRelaxMaker, ForceFieldStaticMaker
    from jobflow import JobStore, run_locally
    from maggma.stores import MemoryStore
    from monty.json import MontyDecoder, MontyEncoder

    monkeypatch.chdir(tmp_path)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    structure = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.8), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    structure.perturb(0.1)
    chosen = {
        "calculator_meta": CALCULATOR,
        "calculator_kwargs": {"model": str(folder), "device": "cpu"},
    }
    static = ForceFieldStaticMaker(**chosen)
    relax = ForceFieldRelaxMaker(**chosen, relax_kwargs={"fmax": 1e-4}, steps=5)
    assert MontyDecoder().decode(MontyEncoder().encode(relax)).calculator_meta == CALCULATOR
    energies = []
    for job in (static.make(structure), relax.make(structure)):
        found = run_locally(job, store=store, create_folders=True, ensure_success=True, log=False)[
            job.uuid
        ][1].output
        energies.append(found.output.energy)
        assert found.forcefield_name == "DAOPCalculator"
        assert found.forcefield_version
    assert np.isfinite(energies).all()
    assert energies[1] < energies[0]
