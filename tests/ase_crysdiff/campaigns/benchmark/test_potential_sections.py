"""Sections of the benchmark of potentials on cases whose answer is known."""

import numpy as np
import pytest
from ase import units
from ase.calculators.emt import EMT
from ase.collections import dcdft

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Row,
    Section,
    Values,
)
from ase_crysdiff.campaigns.benchmark.potentials.candidates import Candidates
from ase_crysdiff.campaigns.benchmark.potentials.consistency import Consistency
from ase_crysdiff.campaigns.benchmark.potentials.dynamics import Dynamics
from ase_crysdiff.campaigns.benchmark.potentials.equations_of_state import (
    EquationsOfState,
    equation_of_state,
)
from ase_crysdiff.campaigns.benchmark.potentials.measuring import values_of
from ase_crysdiff.campaigns.benchmark.potentials.solids import solids
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.from_calculator import CalculatorPotential
from ase_crysdiff.storage import Store
from ase_crysdiff.testing.pair_potential import PairPotential
from calculators import PotentialCalculator

SOLIDS = {solid.formula: solid for solid in solids()}


def contender(made, name="one"):
    if isinstance(made, PairPotential):
        return Contender(name, made, PotentialCalculator(made))
    return Contender(name, CalculatorPotential(made), made)


def answers(section, who, folder, *keys):
    items = section.items(Store(folder / "made"))
    chosen = [item for item in items if not keys or item.key in keys]
    return values_of(folder, section, who, chosen)


class Halves(Section):
    """Half of each number; a text has none. Remembers what it was asked."""

    name, title, together = "halves", "halves", 2
    settings = {"by": 2}

    def __init__(self):
        self.asked = []

    def items(self, folder):
        return [Item(key, given) for key, given in (("a", 2), ("b", "no"), ("c", 6), ("d", 8))]

    def values(self, contender, given):
        self.asked.append(list(given))
        return [one / 2 for one in given]

    def rows(self, contender, found, reference):
        return [Row("sum", "1", sum(found.values.values()))]


def test_a_bad_item_costs_only_itself_and_nothing_is_asked_twice(tmp_path):
    section = Halves()
    first = answers(section, contender(PairPotential()), tmp_path, "a", "b", "c")
    assert first.values == {"a": 1, "c": 3}
    assert first.failures["b"].startswith("TypeError")
    assert section.asked == [[2, "no"], [2], ["no"], [6]]
    second = answers(section, contender(PairPotential()), tmp_path)
    assert second.values == {"a": 1, "c": 3, "d": 4}
    assert section.asked[4:] == [[8]]
    answers(section, contender(PairPotential(), "other"), tmp_path)
    assert len(section.asked) == 5 + 4
    section.settings = {"by": 3}
    with pytest.raises(InputError, match="other settings"):
        answers(section, contender(PairPotential()), tmp_path)


def test_the_table_of_solids_agrees_with_another_one():
    """ASE has the PBE values of the elements, and measured ones of another collection."""
    assert len(SOLIDS) == 20
    for solid in SOLIDS.values():
        assert all(len(source) > 20 for source in solid.sources)
        assert solid.measured_lattice_constant == pytest.approx(solid.lattice_constant, rel=0.03)
        if solid.formula not in dcdft.names or solid.formula == "C":  # there it is graphite
            continue
        known = dcdft.data[solid.formula]
        atoms = len(solid.structure(conventional=True))
        assert solid.lattice_constant == pytest.approx(
            np.cbrt(atoms * known["wien2k_volume"]), abs=6e-4
        )
        assert solid.bulk_modulus == pytest.approx(known["wien2k_B"], abs=0.06)
        measured = np.cbrt(atoms * known["exp_volume"])
        assert solid.measured_lattice_constant == pytest.approx(measured, rel=0.005)
        assert solid.measured_bulk_modulus == pytest.approx(known["exp_B"], rel=0.25)


@pytest.mark.parametrize("formula", list(SOLIDS))
def test_solids_have_their_structure(formula):
    solid = SOLIDS[formula]
    space_groups = {"fcc": 225, "bcc": 229, "diamond": 227, "rocksalt": 225, "zincblende": 216}
    primitive = solid.structure()
    assert len(primitive) == {"fcc": 1, "bcc": 1}.get(solid.kind, 2)
    assert primitive.get_space_group_info()[1] == space_groups[solid.kind]
    assert primitive.composition.reduced_formula == formula


def test_equation_of_state_of_copper(tmp_path):
    """EMT was fitted to a lattice constant of 3.59 Å and a bulk modulus of about 134 GPa."""
    section = EquationsOfState()
    who = contender(EMT())
    found = answers(section, who, tmp_path, "Cu", "Na", "Al")
    assert set(found.values) == {"Cu", "Al"}
    assert "Na" in found.failures["Na"] or "emt" in found.failures["Na"]
    assert found.values["Cu"]["lattice_constant"] == pytest.approx(3.59, abs=0.01)
    assert found.values["Cu"]["bulk_modulus"] == pytest.approx(134, abs=5)
    rows = {row.name: row.value for row in section.rows(who, found, Values())}
    assert rows["solids"] == 2
    errors = [
        100 * (found.values[s]["lattice_constant"] / SOLIDS[s].lattice_constant - 1)
        for s in ("Cu", "Al")
    ]
    assert rows["lattice constant against PBE, mean error"] == pytest.approx(np.mean(errors))


def test_equation_of_state_finds_far_minima_and_says_where_there_is_none():
    """The pairs of `PairPotential` are shortest where the covalent radii touch, far from here."""
    found = equation_of_state(SOLIDS["NaF"], PairPotential())
    assert abs(found["lattice_constant"] / SOLIDS["NaF"].lattice_constant - 1) > 0.02
    assert found["bulk_modulus"] > 0
    repulsive = PairPotential(depth=-0.3)
    with pytest.raises(InputError, match="has no minimum of NaF"):
        equation_of_state(SOLIDS["NaF"], repulsive)


class Pushing(EMT):
    """EMT with a force along the momentum, which puts energy in at a known rate."""

    rate = 0.02  # 1/ps

    def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)):
        super().calculate(atoms, properties, system_changes)
        push = self.rate / (1000 * units.fs) * atoms.get_momenta()
        self.results["forces"] = self.results["forces"] + push


def test_drift_of_the_energy(tmp_path):
    section = Dynamics(0.2, seed=0)
    sound = answers(section, contender(EMT()), tmp_path / "sound", "Cu")
    assert not sound.failures
    assert abs(sound.values["Cu"]) < 1e-4
    pushed = answers(section, contender(Pushing()), tmp_path / "pushed", "Cu")
    # Twice the rate times the kinetic energy, which soon falls from 600 K to 300 K.
    kinetic = 1.5 * units.kB * 300
    assert pushed.values["Cu"] == pytest.approx(2 * Pushing.rate * kinetic, rel=0.2)
    lost = answers(section, contender(EMT()), tmp_path / "sound", "Si")
    assert "Si" in lost.failures


class Wrong(EMT):
    """EMT with forces that are too large by a tenth, and an energy that counts one atom more."""

    def calculate(self, *given, **more):
        super().calculate(*given, **more)
        self.results["forces"] = 1.1 * self.results["forces"]
        self.results["energy"] += 0.5
        del self.results["energies"]


def test_consistency_of_sound_and_of_wrong_potentials(tmp_path):
    section = Consistency(seed=0)
    who = contender(PairPotential())
    found = answers(section, who, tmp_path / "sound")
    assert set(found.values) == {"Cu", "Si", "NaF", "MgO"}
    for row in section.rows(who, found, Values()):
        assert row.value < 1e-4, row.name
    wrong = answers(section, contender(Wrong()), tmp_path / "wrong", "Cu").values["Cu"]
    assert wrong["forces against finite differences"] > 1e-3
    assert wrong["stress against finite differences"] < 1e-3
    assert wrong["energy in another cell"] == pytest.approx(0.125)
    assert wrong["energy in another orientation"] < 1e-8


def test_relative_energies_forget_what_all_candidates_share():
    """Errors of 0.1, 0 and -0.1 eV/atom about a common one; the last two were lost by one each."""
    section = Candidates.__new__(Candidates)  # rows need no crystals
    ours = Values({"AB": [-3.9, -4.5, -5.1, None, -1.0], "C": [None, 1.0]})
    theirs = Values({"AB": [-6.0, -6.5, -7.0, -3.0, None], "C": [2.0, 3.0]})
    rows = {row.name: row.value for row in section.rows(contender(PairPotential()), ours, theirs)}
    assert rows["relative energy, mean |error|"] == pytest.approx(0.2 / 3)
    assert rows["relative energy of two, mean |error|"] == pytest.approx(0.4 / 3)
    assert rows["the lowest is that of the reference"] == 100
    assert rows["compositions"] == 1
