"""How late numbers of atoms are found: what is watched are the very crystals that are drawn."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from pymatgen_ext import StructureSampler

SCRIPT = Path(__file__).parents[2] / "experiments" / "late_atom_counts.py"
specification = importlib.util.spec_from_file_location("late_atom_counts", SCRIPT)
experiment = importlib.util.module_from_spec(specification)
specification.loader.exec_module(experiment)


def test_watching_changes_nothing_and_ends_at_what_was_drawn():
    sampler = StructureSampler("miad")
    watched, courses = experiment.draw(sampler, 4, seed=1)
    drawn = sampler.sample(4, prototype=False, seed=1, redraws=0, progress=False)
    by_index = {s.properties["crysdiff_index"]: s for s in drawn}
    assert by_index
    for i, structure in by_index.items():
        assert len(structure) == len(watched[i]) == courses[i][0.0]
        assert structure.composition == watched[i].composition
        assert np.allclose(structure.lattice.matrix, watched[i].lattice.matrix, atol=1e-4)
    assert all(len(course) > 40 for course in courses)
    assert any(len(set(course.values())) > 1 for course in courses)


def test_a_number_that_comes_back_has_changed():
    course = {0.9: 4, 0.5: 6, 0.3: 5, 0.2: 6, 0.0: 6}
    assert experiment.changes_after(course, 0.5)
    assert experiment.changes_after(course, 0.3)
    assert not experiment.changes_after(course, 0.25)


def test_rates_of_groups():
    verdicts = SimpleNamespace(per_structure=(True, False, None, True))
    courses = [{0.6: 4, 0.0: 4}, {0.6: 3, 0.0: 4}, {0.4: 7, 0.0: 8}, {0.05: 12, 0.0: 11}]
    table = experiment.rows(courses, dict.fromkeys(experiment.SCORES, verdicts))
    assert [table[f"{n} atoms"]["crystals"] for n in ("1-4", "5-8", "9-12")] == [2, 1, 1]
    assert table["all"]["sun"].startswith("50.0 %")
    assert table["changing after t = 0.5"]["crystals"] == 2
    assert table["settled at t = 0.1"]["crystals"] == 3
    assert table["changing after t = 0.1"]["msun"].startswith("100.0 %")
    assert table["13-20 atoms"]["sun"] == "-"
