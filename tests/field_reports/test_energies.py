"""Field reports, items 1, 2, 12, 30 and 40, and S3 of a new user's day: energies without meaning
are no answers, and heights on a hull that lacks competitors say so and never lead.
"""

import csv
import math
import time
import warnings

import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.evaluation.pipeline import evaluate_structures
from ase_crysdiff.campaigns.predicting import predict_files
from ase_crysdiff.crystal.soundness import lonely, unphysical
from ase_crysdiff.data.table import shortest_distance
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.completeness import Completeness
from ase_crysdiff.metrics.fingerprints import open_hull
from ase_crysdiff.metrics.hull import DEEPEST, Footing, Hull, footing
from ase_crysdiff.relaxation.ranking import relaxed
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import StructurePredictor, energy_above_hull, evaluate, relax


def rocksalt(first, second, a):
    cell = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), [first, second], [[0, 0, 0], [0.5] * 3]
    )
    return cell.get_primitive_structure()


GASES = [
    rocksalt("Ga", "N", 11.4),
    Structure(Lattice.cubic(5.6), ["O"], [[0, 0, 0]]),
    Structure(Lattice.cubic(12), ["Si"], [[0, 0, 0]]),
    rocksalt("Na", "Cl", 5.64 * 1.8),
]
CRYSTALS = [
    bulk("Cs", "bcc", a=6.14),
    bulk("Xe", "fcc", a=6.2),
    bulk("Kr", "fcc", a=5.7),
    bulk("He", "hcp", a=3.57),
    bulk("NaCl", "rocksalt", a=5.64),
]


def structure_of(atoms):
    from ase_crysdiff.crystal.convert import as_structure

    return as_structure(atoms)


@pytest.mark.parametrize("gas", GASES, ids=lambda s: s.formula)
def test_a_gas_is_no_crystal(gas):
    assert "has no neighbour within 5 Å: a gas" in lonely(gas)
    assert unphysical(gas) is not None
    assert lonely(gas * (2, 1, 1)) is not None


@pytest.mark.parametrize("crystal", CRYSTALS, ids=lambda a: str(a.symbols))
def test_crystals_of_large_or_weakly_bound_atoms_are_none(crystal):
    assert unphysical(structure_of(crystal)) is None


def test_a_gas_is_nowhere_accepted_stable_or_first():
    """Whatever energies a potential gives for it."""
    results = relax(GASES, PairPotential(), steps=1)
    assert not any(r.accepted for r in results)
    solid = rocksalt("Na", "Cl", 4.8)
    _, reasons = relaxed(
        [s.copy(properties={"crysdiff_index": i}) for i, s in enumerate([*GASES, solid])],
        PairPotential(),
        None,
        relax_cell=False,
    )
    assert set(reasons) == {0, 1, 2, 3}
    found = evaluate(GASES[:2], potential="dao-p", workers=0)
    assert found["stability"].value == found["metastability"].value == found["sun"].value == 0
    for name in ("formation-energy", "energy-above-hull"):
        predictor = StructurePredictor(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = predictor.predict([*GASES, bulk("NaCl", "rocksalt", a=5.64)])
        assert np.isnan(values[:4]).all()
        assert math.isfinite(values[4])
        assert "no neighbour" in predictor.report.refused[0]


TABLE = {"Na": 0.0, "Cl": 0.0, "Mg": 0.0, "O": 0.0, "NaCl": -2.1, "MgO": -3.1}


def test_what_a_height_rests_on():
    assert footing(True, 0.0) is footing(True, -DEEPEST) is Footing.EXACT
    assert footing(False, 0.5) is Footing.BOUND
    assert footing(False, -0.5) is footing(True, -0.5) is Footing.NONE
    hull = Hull(TABLE)
    assert hull.remark("NaCl", 0.05) is None
    assert "lower bound: NaCl3 is not among the 6" in hull.remark("NaCl3", 0.05)
    assert "lacks NaCl3" in hull.remark("NaCl3", -0.5)
    assert "the potential is wrong" in hull.remark("NaCl", -0.5)


@pytest.fixture(scope="module")
def heights():
    """NaCl is listed, CaO and CsCl are not."""
    table = {"Na": 0.0, "Cl": 0.0, "Ca": 0.0, "O": 0.0, "Cs": 0.0, "NaCl": -2.1}
    given = [
        bulk("CaO", "rocksalt", a=4.81),
        bulk("NaCl", "rocksalt", a=5.9),
        bulk("NaCl", "rocksalt", a=5.65),
        "no crystal",
        bulk("CsCl", "cesiumchloride", a=2.9),
    ]
    return energy_above_hull(given, "dao-p", table)


def test_heights_are_flagged_and_bounds_never_lead(heights):
    assert heights.footing[0] is Footing.NONE
    assert heights.footing[1] is heights.footing[2] is Footing.EXACT
    assert heights.footing[3] is None
    assert heights.energy_above_hull[0] < heights.energy_above_hull[2]
    assert heights.ranking[:2] == [2, 1]
    assert heights.ranking[-1] == 3
    assert "lacks CaO" in heights.remarks[0]
    assert 1 not in heights.remarks


EVERYDAY = (
    "CaO SrO BaO NiO FeO Li2O CaF2 SrF2 BaF2 CsCl CsI NaF KBr GaAs GaN InAs AlN MgB2 FeS2 TiN WC "
    "Mg2Si MgO LiF SrTiO3 TiO2 Al2O3 ZnO SiO2 Ca3(PO4)2 NaAlSi3O8 LiFePO4"
)


@pytest.mark.parametrize("formula", EVERYDAY.split())
def test_the_shipped_hull_holds_everyday_compounds(formula):
    assert open_hull().is_listed(formula)


def test_a_table_is_complete_where_it_holds_the_rivals():
    """By what the shipped table knows, whatever the scale of the energies."""
    mine = Completeness(
        Hull({"Na": -1.3, "Cl": -1.8, "Ca": -2, "O": -5, "NaCl": -3.4}, scale="total")
    )
    assert mine.objection("NaCl") is None
    assert mine.objection("Na2Cl") is None
    assert "lower it here by at least 3.30 eV/atom" in mine.objection("CaO")
    assert mine.gap("Ca2O3") > 2
    assert Completeness(open_hull()).gap("CaO") == 0
    assert Completeness(mine.hull, Hull({"Na": 0})).objection("CaO") is None


COMPOUNDS = [
    bulk("CaF2", "fluorite", a=5.46),
    bulk("CaO", "rocksalt", a=4.81),
    bulk("CsCl", "cesiumchloride", a=4.12),
    bulk("GaAs", "zincblende", a=5.65),
]


def test_predicted_heights_are_flagged_in_array_report_table_and_properties(tmp_path):
    predictor = StructurePredictor("energy-above-hull")
    given = [*COMPOUNDS, bulk("NaCl", "rocksalt", a=5.7)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = predictor.predict(given)
    report = predictor.report
    assert report.refused == report.remarks == {}
    assert np.abs(values).max() < 0.1
    odd = rocksalt("Na", "Cl", 5.7) * (2, 1, 1)
    odd.replace(0, "K")
    with pytest.warns(UserWarning, match="lower bound"):
        (noted,) = predictor.annotate([odd])
    assert "lower bound" in noted.properties["crysdiff_energy_above_hull_remark"]
    odd.to(filename=str(tmp_path / "odd.cif"))
    found = predict_files(predictor, [tmp_path / "odd.cif"], tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert "lower bound" in row["remark"] == found.remarks[0]


def test_the_best_of_a_report_are_those_with_exact_heights(tmp_path):
    """CaO lies 3 eV/atom below a table of its elements, and still comes after rock salt."""
    table = tmp_path / "hull.csv"
    rows = ["NaCl,-2.1", "Na,0", "Cl,0", "Ca,0", "O,0"]
    table.write_text("\n".join(["reduced_formula,hull_energy_per_atom", *rows]))
    given = [bulk("CaO", "rocksalt", a=4.81), bulk("NaCl", "rocksalt", a=5.7)]
    results = evaluate_structures(
        given, tmp_path / "out", hull=table, potential="dao-p", reference=None, workers=0
    )
    assert [crystal["formula"] for crystal in results["best"]] == ["NaCl", "CaO"]
    with (tmp_path / "out" / "table.csv").open() as file:
        first, second = csv.DictReader(file)
    assert "not judged: compounds that the hull 'hull.csv' lacks lower it" in first["hull_remark"]
    assert first["hull_complete"] == "False"
    assert first["stable"] == first["energy_above_hull"] == ""
    assert second["hull_remark"] == ""
    assert second["hull_complete"] == "True"
    (stage,) = (s for s in results["funnel"] if s["stage"] == "On a complete hull")
    assert stage["count"] == 1
    assert results["metrics"]["stability"]["settings"]["judged"] == 1
    assert any(note.startswith("1 crystals lie where the hull") for note in results["notes"])
    assert "exact heights above the hull first" in (tmp_path / "out" / "report.html").read_text()


def test_a_supercell_costs_what_its_atoms_cost():
    """1,000 atoms took 23 s to be reduced to two, 1,728 atoms 157 s."""
    cell = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3]
    )
    predictor = StructurePredictor("formation-energy")
    expected = predictor.predict(cell)
    started = time.process_time()
    found = predictor.predict([cell * (5, 5, 5)])
    assert found == pytest.approx(expected, abs=1e-5)
    assert time.process_time() - started < 10


def test_unknown_elements_are_named_by_symbol():
    with pytest.raises(ValueError, match="these elements: Am"):
        StructurePredictor("band-gap").predict([bulk("Am", "fcc", a=4.9)])


def test_shortest_distance_in_skewed_cells():
    skewed = Structure(Lattice([[4, 0, 0], [3.9, 2.6, 0], [0, 0, 4]]), ["Cu"], [[0, 0, 0]])
    assert shortest_distance(skewed) == pytest.approx(math.hypot(0.1, 2.6))
    generator = np.random.default_rng(0)
    for _ in range(20):
        rows, places = generator.normal(size=(3, 3)) * 5, generator.random((3, 3))
        structure = Structure(Lattice(rows), ["Cu"] * 3, places)
        if structure.volume > 30:
            near = (n.nn_distance for site in structure for n in structure.get_neighbors(site, 9))
            assert shortest_distance(structure) == pytest.approx(min(near))
    twice = Structure(Lattice.cubic(4), ["Cu", "Cu"], [[0, 0, 0], [0, 0, 0]])
    assert shortest_distance(twice) == 0


# What fuzzing found


def test_a_flat_cell_costs_itself_only():
    flat = Structure(Lattice(np.zeros((3, 3))), ["Na"], [[0, 0, 0]])
    lost, kept = relax([flat, rocksalt("Na", "Cl", 5.6)], PairPotential(), steps=1)
    assert lost.reason == "The lattice is flat: its three vectors lie in a plane."
    assert math.isfinite(kept.energy)


def test_a_cell_too_skewed_to_be_searched_costs_itself_only():
    skewed = Structure(Lattice([[0, 1, 0], [0, 30, 2], [1, 0, 30]]), ["Na"], [[0, 0, 0]])
    atoms = skewed.to_ase_atoms()
    atoms.set_constraint(FixAtoms([0]))
    both = [atoms, rocksalt("Na", "Cl", 4.8)]
    lost, kept = relax(both, PairPotential(), relax_cell=False)
    assert "repeats every 0.0022 Å" in lost.reason
    assert not lost.accepted
    assert kept.accepted


def test_an_element_with_and_without_its_charge_keeps_its_formula():
    """pymatgen calls such a composition unlike itself."""
    mixed = rocksalt("Na", "Cl", 4.8) * (2, 1, 1)
    mixed.replace([site.specie.symbol for site in mixed].index("Na"), "Na+")
    assert mixed.composition != mixed.composition.copy()
    (result,) = relax(mixed, PairPotential())
    assert result.accepted


def test_a_row_of_a_hull_that_breaks_off(tmp_path):
    table = tmp_path / "hull.csv"
    table.write_text("reduced_formula,hull_energy_per_atom\nNaCl\n")
    with pytest.raises(InputError, match="cannot be read as a hull"):
        Hull.read(table)
