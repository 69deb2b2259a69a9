"""`evaluate` with a potential: relaxed structures, stability and S.U.N., and what it refuses."""

import cProfile
import inspect
import math
import pstats

import numpy as np
import pytest
from ase import Atoms
from mortal_structure import MortalStructure
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.evaluation.relaxed import relaxed_by, relaxed_from
from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import IncompatibleError, InputError, UnknownNameError
from ase_crysdiff.metrics.fingerprints import open_fingerprints, open_hull
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.matching import reduced
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.space_groups import find_symmetry
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext.evaluation import evaluate

POTENTIAL = PairPotential()


def rocksalt(a=5.3, symbols=("Na", "Cl")):
    cell = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), list(symbols), [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    return cell.get_primitive_structure()


def disturbed(structure, seed=0):
    noise = 0.02 * np.random.default_rng(seed).standard_normal((len(structure), 3))
    return Structure(
        structure.lattice,
        structure.species,
        structure.cart_coords + noise,
        coords_are_cartesian=True,
    )


CLOSE = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.05, 0, 0]])
FAR_OUT = Structure(rocksalt().lattice, ["Na", "Cl"], rocksalt().frac_coords + 1e6)


@pytest.fixture(scope="module")
def hull():
    """A little above both compounds, so that all that relaxes is stable."""
    salts = relax([rocksalt(), rocksalt(6.0, ("K", "Cl"))], POTENTIAL)
    known = {s.structure.reduced_formula: s.energy_per_atom + 0.05 for s in salts}
    return Hull({"Na": 0.0, "Cl": 0.0, "K": 0.0, **known}, scale="total")


@pytest.fixture(scope="module")
def results(hull):
    structures = [
        rocksalt(),
        disturbed(rocksalt() * (2, 1, 1)),
        rocksalt(6.0, ("K", "Cl")),
        CLOSE,
        None,
        FAR_OUT,
    ]
    return evaluate(
        structures,
        reference=[rocksalt(6.0, ("K", "Cl"))],
        hull=hull,
        potential=POTENTIAL,
        workers=0,
    )


def test_every_name_is_there(results):
    assert {
        "uniqueness",
        "uniqueness_relaxed",
        "novelty",
        "novelty_relaxed",
        "structural_validity_relaxed",
        "stability",
        "metastability",
        "sun",
        "msun",
        "energy_above_hull",
        "rmsd_to_relaxed",
        "symmetry_success_relaxed",
        "symmetry_success_tight_relaxed",
        "space_groups",
    } <= results.keys()
    for name, result in results.items():
        assert len(result.per_structure) == 6, name


def test_failures_are_misses_with_their_reasons(results):
    for name in ("stability", "energy_above_hull", "rmsd_to_relaxed", "sun"):
        assert "two atoms closer" in results[name].failures[3]
        assert "no structure" in results[name].failures[4]
    assert results["structural_validity"].failures.keys() == {3, 4}


def test_stable_unique_and_new(results):
    assert results["stability"].per_structure == (True, True, True, False, False, True)
    assert results["novelty_relaxed"].per_structure == (True, True, False, False, False, True)
    assert results["uniqueness_relaxed"].value == pytest.approx(2 / 6)
    assert results["sun"].value == pytest.approx(1 / 6)
    assert results["msun"].value == pytest.approx(1 / 6)
    assert results["sun"].settings["profile"] == "package"
    assert results["sun"].settings["potential"] == POTENTIAL.name
    assert results["sun"].value <= min(
        results[n].value for n in ("stability", "uniqueness_relaxed", "novelty_relaxed")
    )


def test_supercell_has_the_energy_of_its_cell(results):
    heights = results["energy_above_hull"].per_structure
    assert heights[0] == pytest.approx(heights[1], abs=1e-3)
    assert heights[0] == pytest.approx(heights[5], abs=1e-6)
    assert heights[3] is None


def test_relaxation_moves_little_what_is_nearly_relaxed(results):
    moved = results["rmsd_to_relaxed"].per_structure
    assert moved[0] == pytest.approx(0, abs=1e-6)
    assert 0 < moved[1] < 0.2


@pytest.mark.parametrize("profile", ["miad", "flowmm", "mattergen", "lemat"])
def test_other_profiles_run_on_the_same_set(profile, hull):
    structures = [rocksalt(), rocksalt(6.0, ("K", "Cl")), CLOSE]
    results = evaluate(
        structures,
        reference=[rocksalt(6.0, ("K", "Cl"))],
        hull=hull,
        potential=POTENTIAL,
        profile=profile,
        workers=0,
    )
    assert results["sun"].per_structure == (True, False, False)
    assert results["sun"].value == pytest.approx(1 / 2 if profile == "lemat" else 1 / 3)


UNCONVERGED = "not converged: after 5 steps the largest force is 0.1 eV/Å, above 0.05"


def test_two_faults_of_a_relaxation_are_told_apart():
    swollen = "the volume has changed by +20 %"
    result = RelaxResult(rocksalt(), False, 5, -1.0, 0.1, 0.0, False, swollen)
    found = relaxed_from([rocksalt()], {0: result}, {})
    assert found.rejected == {0: f"not converged, and {swollen}"}


def test_sound_start_with_an_unsound_end_is_rejected():
    def ended(structure, energy=-1.0, converged=True):
        return RelaxResult(
            structure, converged, 5, energy, 0.01, 0.0, True, None if converged else UNCONVERGED
        )

    collapsed = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.2, 0, 0]])
    given = [rocksalt()] * 5
    found = relaxed_from(
        given,
        {
            0: ended(rocksalt()),
            1: ended(collapsed),
            2: ended(CLOSE),
            3: ended(rocksalt(), converged=False),
            4: ended(None, math.nan),
        },
        {},
    )
    assert list(found.failures) == [4]
    assert list(found.rejected) == [1, 2, 3, 4]
    assert "covalent" in found.rejected[1]
    assert found.rejected[3] == UNCONVERGED
    assert found.structures[4] is None


def test_atoms_are_scored_and_what_is_no_crystal_costs_itself_only():
    """As in `relax` and `predict`."""
    broken = [Atoms("H"), Atoms("H", pbc=True), "a.cif", 5]
    given = [rocksalt(), structure_to_atoms(rocksalt()), *broken, None]
    results = evaluate(given, reference=None, potential=POTENTIAL, hull=None, workers=0)
    assert results["structural_validity"].per_structure == (True, True, *[False] * 5)
    assert results["distance_validity"].per_structure == (True, True, *[False] * 5)
    assert list(results["uniqueness_relaxed"].failures) == [2, 3, 4, 5, 6]
    reasons = results["uniqueness"].failures
    expected = ["periodic", "0 of three vectors", "got str", "got int", "no structure"]
    for position, words in enumerate(expected, 2):
        assert words in reasons[position]
        assert words in results["rmsd_to_relaxed"].failures[position]


@pytest.mark.parametrize("one", [rocksalt(), structure_to_atoms(rocksalt())])
def test_one_structure_by_itself_is_scored(one):
    results = evaluate(one, reference=None, workers=0)
    assert results["structural_validity"].per_structure == (True,)


@pytest.mark.parametrize("workers", ["a", -1, 1.5])
def test_workers_must_be_a_number_of_processes(workers):
    with pytest.raises(InputError, match="workers must be a whole number of at least 0, got"):
        evaluate([rocksalt()], reference=None, workers=workers)


def test_input_is_not_changed():
    structures = [disturbed(rocksalt()), FAR_OUT.copy()]
    before = [s.copy() for s in structures]
    after = relaxed_by(structures, POTENTIAL)
    assert structures == before
    assert after.structures[0].lattice != before[0].lattice


def test_energies_are_those_of_a_relaxation_by_hand(hull):
    (alone,) = relax([rocksalt()], POTENTIAL)
    results = evaluate([rocksalt()], reference=None, hull=hull, potential=POTENTIAL, workers=0)
    height = alone.energy / 2 - hull.energy("NaCl")
    assert results["energy_above_hull"].value == pytest.approx(height, abs=1e-6)
    assert "sun" not in results


class Nothing:
    name, digest = "nothing", "0" * 64

    def __len__(self):
        return 0

    def contains(self, structure):
        return False


def test_fingerprints_serve_where_no_crystal_is_needed(hull):
    results = evaluate([rocksalt()], reference=Nothing(), hull=hull, potential=POTENTIAL, workers=0)
    assert results["sun"].value == 1
    assert "density_distance" not in results
    with pytest.raises(IncompatibleError, match="fingerprints"):
        evaluate(
            [rocksalt()],
            reference=Nothing(),
            hull=hull,
            potential=POTENTIAL,
            profile="flowmm",
            workers=0,
        )


def test_shipped_means_the_shipped_table_and_none_means_without(hull):
    shipped = evaluate([rocksalt()], workers=0)
    assert shipped["novelty"].settings["reference"] == open_fingerprints().name
    assert "stability" not in shipped
    assert "novelty" not in evaluate([rocksalt()], reference=None, hull=None, workers=0)
    bare = evaluate([rocksalt()], reference=None, hull=None, potential=POTENTIAL, workers=0)
    assert {"uniqueness_relaxed", "rmsd_to_relaxed"} <= bare.keys()
    assert {"stability", "sun", "novelty"}.isdisjoint(bare)
    fitted = PairPotential()
    fitted.formation_references = dict.fromkeys(range(1, 100), 0.0)
    full = evaluate([rocksalt()], potential=fitted, workers=0)
    assert full["stability"].settings["hull"] == open_hull().name
    assert full["sun"].settings["reference"] == open_fingerprints().name


def test_a_structure_that_ends_the_matcher_costs_itself_only_unless_it_is_asked_for_here():
    lattice, places = rocksalt().lattice, rocksalt().frac_coords
    structures = [rocksalt(), MortalStructure(lattice, ["Na", "Cl"], places), rocksalt(5.4)]
    isolated = evaluate(structures, reference=None, workers=1)
    assert isolated["symmetry_success"].failures == {1: "spglib: the process ended"}
    assert isolated["uniqueness"].failures == {1: "matcher: the process ended"}
    assert isolated["uniqueness"].per_structure == (True, False, False)
    here = evaluate(structures, reference=None, workers=0)
    assert here["symmetry_success"].failures == here["uniqueness"].failures == {}


def test_every_structure_is_judged_reduced_and_asked_for_its_symmetry_once(hull):
    """And once more when it is relaxed."""
    structures = [rocksalt(), disturbed(rocksalt()), rocksalt(6.0, ("K", "Cl")), CLOSE, None]
    known = Reference([rocksalt(), rocksalt(6.0, ("K", "Cl"))])
    assert len(known.symmetries) == 2  # of the reference, before anything is counted
    profile = cProfile.Profile()
    profile.runcall(
        evaluate, structures, reference=known, hull=hull, potential=POTENTIAL, workers=0
    )
    stats, sound = pstats.Stats(profile).stats, 3

    def calls(function):
        code = inspect.unwrap(function).__code__
        return stats[code.co_filename, code.co_firstlineno, code.co_name][1]

    assert calls(gate) == len(structures) + sound
    assert calls(find_symmetry) == 2 * sound
    assert calls(reduced) == 2 * sound + len(known)


def test_what_makes_no_sense_is_refused_before_anything_is_computed(hull):
    with pytest.raises(InputError, match="potential"):
        evaluate([rocksalt()], hull=hull)
    with pytest.raises(InputError, match="hull=None for scores without"):
        evaluate([rocksalt()], potential=POTENTIAL)
    with pytest.raises(UnknownNameError, match="package, miad"):
        evaluate([rocksalt()], profile="best")
    with pytest.raises(InputError, match="no structures"):
        evaluate([], potential=POTENTIAL)
