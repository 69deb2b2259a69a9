"""Relaxed crystals as entries of pymatgen: on the corrected scale, corrected once."""

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from pymatgen.analysis.phase_diagram import PhaseDiagram
from pymatgen.core import Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedStructureEntry

from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.metrics.formation import energies_above_hull, hull_of
from ase_crysdiff.potentials.energy_corrections import correction
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.relaxation.relax_set import RelaxSet
from pymatgen_ext import relax

ROCKSALT = [[0, 0, 0], [0.5, 0.5, 0.5]]


def rocksalt(metal, a):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [metal, "O"], ROCKSALT)


@pytest.fixture(scope="module")
def relaxed():
    """Elements and oxides of iron and magnesium; the oxygen is no molecule, which is no matter."""
    crystals = [
        bulk("Mg"),
        bulk("Fe"),
        Structure(Lattice.cubic(2.6), ["O"], [[0, 0, 0]]),
        rocksalt("Mg", 4.24),
        rocksalt("Fe", 4.3),
    ]
    return relax(crystals, "dao-p", steps=4, symmetric=True)


@pytest.fixture(scope="module")
def entries(relaxed):
    return relaxed.to_entries(accepted_only=False)


def test_heights_are_those_of_the_own_hull(relaxed, entries):
    potential, structures = load_potential("dao-p"), [r.structure for r in relaxed]
    expected = energies_above_hull(structures, potential, hull_of(structures, potential))
    diagram = PhaseDiagram(entries)
    found = [diagram.get_e_above_hull(entry) for entry in entries]
    assert found == pytest.approx(expected.energy_above_hull.tolist(), abs=1e-5)
    assert len({entry.entry_id for entry in entries}) == len(entries)


def test_energies_are_corrected_once(relaxed, entries):
    for entry, result in zip(entries, relaxed, strict=True):
        assert entry.energy == pytest.approx(result.energy, abs=1e-9)
        expected = correction(result.structure) * len(result.structure)
        assert entry.correction == pytest.approx(expected, abs=1e-9)
    assert [round(entry.correction, 3) for entry in entries[:4]] == [0, 0, 0, 4 * -0.687]
    assert len(entries[4].energy_adjustments) == 2  # of the anion and of the mixed methods
    assert entries[4].correction == pytest.approx(4 * (-0.687 - 2.256), abs=1e-3)


@pytest.mark.parametrize("clean", [True, False])
def test_the_scheme_leaves_them_as_they_are(entries, clean):
    scheme = MaterialsProject2020Compatibility()
    again = scheme.process_entries(entries, clean=clean, inplace=False)
    assert [e.energy for e in again] == pytest.approx([e.energy for e in entries], abs=1e-9)


def test_bonds_tell_a_peroxide():
    peroxide = Structure.from_spacegroup(
        "P6_3/mmc",
        Lattice.hexagonal(3.14, 7.65),
        ["Li", "Li", "O"],
        [[0, 0, 0], [1 / 3, 2 / 3, 0.75], [1 / 3, 2 / 3, 0.149]],
    )
    peroxide.add_oxidation_state_by_element({"Li": 1, "O": -1})
    (entry,) = relax(peroxide, "dao-p", steps=1).to_entries(accepted_only=False)
    assert "peroxide" in entry.energy_adjustments[0].name
    assert {str(element) for element in entry.composition} == {"Li", "O"}


def test_what_is_not_accepted_stays_out(relaxed):
    results = [relaxed[0], relax(bulk("Cs"), "dao-p", steps=1)[0], relaxed[3]]
    results[1] = results[1].__class__(**{**vars(results[1]), "accepted": False, "reason": "lost"})
    chosen = RelaxSet(results, relaxed.potential, relaxed.is_corrected)
    assert [e.reduced_formula for e in chosen.to_entries()] == ["Mg", "MgO"]
    assert len(chosen.to_entries(accepted_only=False)) == 3
    assert chosen.to_entries(accepted_only=False)[1].data["crysdiff_remark"] == "lost"


def test_entries_and_sets_keep_what_they_are(relaxed, entries):
    back = ComputedStructureEntry.from_dict(entries[4].as_dict())
    assert back.energy == pytest.approx(entries[4].energy)
    again = RelaxSet.from_dict(relaxed.as_dict())
    assert again.is_corrected
    assert (again[:2] + again[2:]).rank().is_corrected


def test_another_scale_is_refused_or_marked():
    crystals = [bulk("Cu"), bulk("Au"), bulk("Cu", "fcc", a=3.8, cubic=True)]
    plain = relax(crystals, EMT(), fmax=0.01)
    with pytest.raises(IncompatibleError, match="own_scale=True"):
        plain.to_entries()
    entries = plain.to_entries(own_scale=True)
    assert [e.energy for e in entries] == pytest.approx([r.energy for r in plain])
    assert PhaseDiagram(entries).get_e_above_hull(entries[0]) == pytest.approx(0, abs=1e-3)
    assert not MaterialsProject2020Compatibility().process_entries(entries)
