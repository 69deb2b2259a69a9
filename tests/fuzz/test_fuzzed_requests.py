"""Requests and tables of every kind: understood, or one of our errors."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice
from refusals import answer

from ase_crysdiff.metrics.hull import Hull
from pymatgen_ext import StructureSampler

WORDS = ["SrTiO3", "NaCl", "C60", "CO", "", " ", "Na0", "Fe0.5O", "X2O", "Na-Cl", "(NaCl)2"]
formulas = st.sampled_from(WORDS) | st.text(max_size=6)
numbers = st.integers(-2, 40) | st.floats() | st.booleans() | st.sampled_from(["3", "auto", ""])
rows = st.lists(st.floats(-1e3, 1e3) | st.just(math.nan), min_size=3, max_size=3)
lattices = (
    st.builds(Lattice.cubic, st.floats(0.1, 50))
    | st.lists(rows, min_size=3, max_size=3)
    | st.lists(st.floats(0, 200), min_size=5, max_size=7)
    | st.builds(np.zeros, st.just((3, 3)))
    | st.text(max_size=3)
)
systems = formulas | st.lists(st.sampled_from(["Na", "Cl", "Xx", "D", ""]), max_size=4)
KEYWORDS = {
    "composition": formulas | st.dictionaries(st.sampled_from(["Na", "Cl", "Q"]), numbers),
    "formula_units": numbers | st.lists(st.integers(-1, 5), max_size=3),
    "chemical_system": systems,
    "elements": systems,
    "num_atoms": numbers,
    "lattice": lattices,
    "space_group": st.integers(-1, 231) | st.sampled_from(["Fm-3m", "P 63/m m c", "nonsense", ""]),
    "prototype": st.sampled_from(["Fm-3m a|b", "P4_2/mnm: Ti a, O f", "a|b", "", 7, False]),
    "known": st.booleans() | st.just("perhaps"),
    "conditions": st.sampled_from(["temperature", "no such", {"name": "energy"}, 3, [None]]),
    "steps": numbers,
}


@pytest.fixture(scope="module")
def samplers(toy_miad, toy_csp):
    return [
        StructureSampler("miad", weights=str(toy_miad), device="cpu"),
        StructureSampler("dao-g", weights=str(toy_csp), device="cpu"),
    ]


@given(st.data(), st.fixed_dictionaries({}, optional=KEYWORDS), st.booleans())
def test_requests(samplers, data, keywords, of_composition):
    few = dict(list(keywords.items())[: data.draw(st.integers(1, 4))])
    answer(lambda: samplers[of_composition].request(**few))


@given(st.dictionaries(formulas, st.floats(), max_size=5), formulas)
def test_tables_in_memory(energies, formula):
    height = answer(lambda: Hull(energies).energy(formula))
    assert height is None or math.isfinite(height)


cells = st.sampled_from(["NaCl", "-1.5", "", "nan", "reduced_formula", "hull_energy_per_atom", "Å"])
lines = st.lists(cells | st.text(max_size=4), max_size=4)
HEAD = ["reduced_formula", "hull_energy_per_atom"]


@given(st.lists(lines, max_size=5), st.booleans(), st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_tables_in_files(tmp_path_factory, rows, headed, encoding):
    path = tmp_path_factory.mktemp("table") / "hull.csv"
    text = "\n".join(",".join(row) for row in ([HEAD] if headed else []) + rows)
    path.write_bytes(text.encode(encoding, errors="replace"))
    hull = answer(lambda: Hull.read(path))
    assert hull is None or len(hull)
