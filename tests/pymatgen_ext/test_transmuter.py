"""Variation and relaxation as transformations of pymatgen."""

import json

import pytest
from monty.json import MontyDecoder, MontyEncoder
from pymatgen.alchemy.materials import TransformedStructure
from pymatgen.alchemy.transmuters import StandardTransmuter
from pymatgen.core import Lattice, Structure
from pymatgen.transformations.standard_transformations import SubstitutionTransformation

from ase_crysdiff.errors import SamplingError, UnknownNameError
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext import relax
from pymatgen_ext.transformations import AcceptedFilter, RelaxTransformation, VaryTransformation

SALT, PEROVSKITE = prototypes()["NaCl"], prototypes()["SrTiO3"]


def again(value):
    return json.loads(json.dumps(value, cls=MontyEncoder), cls=MontyDecoder)


@pytest.fixture(scope="module")
def vary(toy_csp):
    return VaryTransformation(
        0.2, num_samples=3, steps=3, seed=0, weights=str(toy_csp), device="cpu"
    )


def test_neighbours_of_several_structures(vary):
    transmuter = StandardTransmuter.from_structures([SALT, PEROVSKITE], [vary], extend_collection=2)
    formulas = [s.final_structure.composition.reduced_formula for s in transmuter]
    assert formulas == ["NaCl", "SrTiO3", "NaCl", "SrTiO3"]
    first, second = transmuter[0], transmuter[2]
    assert first.final_structure != second.final_structure
    assert first.history[-1]["@class"] == "VaryTransformation"
    assert [s.history[-1]["output_parameters"]["index"] for s in (first, second)] == [0, 1]
    single = StandardTransmuter.from_structures([SALT], [vary])
    assert len(single) == 1
    assert single[0].final_structure == first.final_structure
    single.undo_last_change()
    assert single[0].final_structure == SALT


def test_transformations_read_back(vary):
    back = again(vary)
    assert back.apply_transformation(SALT) == vary.apply_transformation(SALT)
    assert [e["index"] for e in back.apply_transformation(SALT, return_ranked_list=True)] == [
        0,
        1,
        2,
    ]
    rest = RelaxTransformation(steps=7, symmetric=True)
    assert again(rest).as_dict() == rest.as_dict()
    assert again(AcceptedFilter(converged=True)).converged
    start = TransformedStructure(SALT, [vary, rest])
    assert again(start).final_structure == start.final_structure
    assert [step["@class"] for step in again(start).history] == [
        "VaryTransformation",
        "RelaxTransformation",
    ]


def test_nothing_drawn_is_no_index_error(vary, monkeypatch):
    none = SampleSet([], Report("toy", "abc", 0, 3, 0, 0, {"no atoms": 3}, {0: "no atoms"}))
    monkeypatch.setattr(VaryTransformation, "draw", lambda self, structure, count: none)
    for wanted in (False, True, 2):
        with pytest.raises(SamplingError, match="No structure could be drawn"):
            vary.apply_transformation(SALT, return_ranked_list=wanted)


def test_relaxing_exchanged_crystals():
    """One whose cell is too small for the exchange, one that fits, and one that is no crystal."""
    none = Structure(Lattice.cubic(4.0), ["Na", "Na"], [[0, 0, 0], [0, 0, 0]])
    transmuter = StandardTransmuter.from_structures(
        [SALT, PEROVSKITE, none],
        [SubstitutionTransformation({"Na": "K", "Sr": "Ca"}), RelaxTransformation(fmax=0.01)],
    )
    final = [s.final_structure for s in transmuter]
    expected = relax(PEROVSKITE.copy().replace_species({"Sr": "Ca"}), fmax=0.01)[0]
    assert final[1].properties["crysdiff_energy"] == pytest.approx(expected.energy, abs=1e-4)
    assert final[1].properties["crysdiff_accepted"]
    assert not final[2].properties["crysdiff_accepted"]
    assert final[2].properties["crysdiff_remark"]
    assert "crysdiff_energy" not in final[2].properties
    assert "volume has changed" in final[0].properties["crysdiff_remark"]
    transmuter.apply_filter(AcceptedFilter(converged=True))
    assert [s.final_structure.composition.reduced_formula for s in transmuter] == ["CaTiO3"]
    assert not AcceptedFilter().test(SALT)
    assert "crysdiff_accepted" not in SALT.properties


def test_unknown_potentials_are_refused():
    with pytest.raises(UnknownNameError, match="dao-q"):
        RelaxTransformation("dao-q").apply_transformation(SALT)
