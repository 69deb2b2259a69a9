"""Phonons, surfaces, vacancies and dissociation on cases whose answer is known."""

import importlib.util
import math

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.optimize import BFGS

from ase_crysdiff.campaigns.benchmark.potentials.base import Contender, Values
from ase_crysdiff.campaigns.benchmark.potentials.crystals import Crystals
from ase_crysdiff.campaigns.benchmark.potentials.defects import Surfaces, Vacancies
from ase_crysdiff.campaigns.benchmark.potentials.dissociation import (
    Bonded,
    Dissociation,
    bonded,
    curve,
)
from ase_crysdiff.campaigns.benchmark.potentials.measuring import values_of
from ase_crysdiff.campaigns.benchmark.potentials.phonons import Phonons, frequencies
from ase_crysdiff.crystal.convert import atoms_to_structure, structure_to_atoms
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.from_calculator import CalculatorPotential
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.storage import Store
from ase_crysdiff.testing.pair_potential import PairPotential

NEEDED = "matcalc", "matminer", "phonopy"
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
with_extra = pytest.mark.skipif(
    bool(MISSING), reason=f"the extra 'benchmark' is not installed: no {', '.join(MISSING)}"
)
#: sqrt(eV/Å²/amu) as a frequency, THz.
THZ = math.sqrt(units._e / (1e-20 * units._amu)) / (2e12 * math.pi)


def crystals_of(*structures):
    names = tuple(s.composition.reduced_formula for s in structures)
    return Crystals("made", "0", names, structures, {}, (math.nan,) * len(structures))


def emt():
    return Contender("emt", CalculatorPotential(EMT()), EMT())


def answers(section, who, folder, *keys):
    items = section.items(Store(folder / "made"))
    return values_of(folder, section, who, [item for item in items if item.key in keys])


def supercell_frequencies(atoms):
    """Of all modes that a cell repeated twice holds, THz, from its matrix of force constants."""
    large = atoms.repeat(2)
    large.calc = EMT()
    step, hessian = 0.01, []
    for k in range(3 * len(large)):
        pushed = []
        for sign in (1, -1):
            moved = large.copy()
            moved.positions[k // 3, k % 3] += sign * step
            moved.calc = EMT()
            pushed.append(moved.get_forces().ravel())
        hessian.append((pushed[1] - pushed[0]) / (2 * step))
    mass = np.sqrt(np.repeat(large.get_masses(), 3))
    matrix = np.array(hessian) / np.outer(mass, mass)
    squares = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    return np.sort(np.sign(squares) * np.sqrt(np.abs(squares))) * THZ


@with_extra
@pytest.mark.parametrize(("formula", "kind", "a"), [("Cu", "fcc", 3.6), ("CuPd", "rocksalt", 5.0)])
def test_frequencies_are_those_of_the_whole_supercell(formula, kind, a):
    """Also where the crystal is unstable: imaginary ones are negative."""
    structure = atoms_to_structure(bulk(formula, kind, a=a))
    found = frequencies(structure, CalculatorPotential(EMT()))
    assert len(found) == 8
    (rest,) = relax([structure], EMT(), fmax=2e-3, symmetric=True, progress=False)
    known = supercell_frequencies(structure_to_atoms(rest.structure))
    assert np.sort(np.ravel(found)) == pytest.approx(known, abs=0.03)
    assert known.min() < -1 or formula == "Cu"


@with_extra
def test_a_deeper_potential_has_higher_frequencies(tmp_path):
    """Energies times 1.21 are frequencies times 1.1."""
    made = [atoms_to_structure(bulk(s, "fcc", a=a)) for s, a in (("Cu", 3.7), ("Al", 3.4))]
    section = Phonons(crystals_of(*made, made[0] * (5, 1, 1)), 2)
    assert [item.key for item in section.items(Store(tmp_path))] == ["0 Cu", "1 Al"]
    whos = [Contender(str(d), PairPotential(depth=d), None) for d in (0.3, 0.363)]
    soft, deep = (answers(section, who, tmp_path, "0 Cu", "1 Al") for who in whos)
    rows = {(row.name, row.unit): row.value for row in section.rows(whos[1], deep, soft)}
    assert rows["frequencies, mean |error|", "%"] == pytest.approx(10, abs=0.05)
    assert rows["frequencies, mean error", "%"] == pytest.approx(10, abs=0.05)
    assert rows["imaginary modes beyond 0.1 THz", "1"] == 0
    assert rows["crystals", "1"] == 2
    turned = Values({key: [[-f for f in point] for point in v] for key, v in soft.values.items()})
    rows = {row.name: row.value for row in section.rows(whos[0], turned, soft)}
    assert rows["imaginary modes beyond 0.1 THz"] == 2 * (8 * 3 - 3)
    assert rows["crystals with such modes"] == 2


@with_extra
def test_a_crystal_that_a_potential_does_not_know_has_no_phonons():
    with pytest.raises(InputError, match="did not come to rest"):
        frequencies(atoms_to_structure(bulk("Na")), CalculatorPotential(EMT()))


def at_rest(atoms):
    atoms.calc = EMT()
    BFGS(atoms, logfile=None).run(fmax=0.01)
    return atoms.get_potential_energy()


def copper():
    """EMT's lattice constant and energy of an atom."""
    scales = np.linspace(3.55, 3.63, 81)
    energies = []
    for a in scales:
        atoms = bulk("Cu", a=a)
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
    return scales[np.argmin(energies)], min(energies)


@with_extra
def test_a_surface_of_copper(tmp_path):
    found = answers(Surfaces(), emt(), tmp_path, "Cu 111", "MgO 100")
    assert list(found.values) == ["Cu 111"]
    assert list(found.failures) == ["MgO 100"]
    a, energy = copper()
    slab = fcc111("Cu", (1, 1, 7), a=a, vacuum=10.0, periodic=True)
    area = np.linalg.norm(np.cross(slab.cell[0], slab.cell[1]))
    known = (at_rest(slab) - len(slab) * energy) / (2 * area) * units.m**2 / units.J
    assert found.values["Cu 111"] == pytest.approx(known, rel=0.02)


@with_extra
def test_a_vacancy_of_copper(tmp_path):
    section = Vacancies()
    found = answers(section, emt(), tmp_path, "Cu")
    a, energy = copper()
    cell = bulk("Cu", a=a, cubic=True).repeat(2)
    del cell[0]
    known = at_rest(cell) - len(cell) * energy
    assert found.values["Cu"] == pytest.approx(known, abs=0.01)
    against = Values({"Cu": found.values["Cu"] / 0.8})
    rows = {(row.name, row.unit): row.value for row in section.rows(emt(), found, against)}
    assert rows["mean |error|", "%"] == pytest.approx(20)
    assert rows["mean error", "eV"] == pytest.approx(-0.25 * found.values["Cu"])
    assert rows["vacancies", "1"] == 1


def test_heats_of_atomisation():
    """Bond energies that every textbook has, kJ/mol, and cohesive energies of crystals."""
    known = {one.label: one for one in bonded()}
    for formula, bond in {"N2": 945, "O2": 498, "Cl2": 243, "HF": 570, "CO": 1076}.items():
        one = known[f"molecule {formula}"]
        assert 2 * one.atomisation / (units.kJ / units.mol) == pytest.approx(bond, abs=2)
    assert known["crystal NaCl"].atomisation == pytest.approx(6.63 / 2, abs=0.01)
    for label, one in known.items():
        shape = one.structure(1.0)
        assert shape.composition.reduced_formula == label.split()[1]
        expected = one.length if one.kind is None else None
        if expected is not None:
            assert shape.get_distance(0, 1) == pytest.approx(expected)


def test_the_curve_of_a_morse_molecule():
    """r0 is twice the covalent radius of nitrogen, the cutoff 2.5 times of it and more."""
    one = Bonded("N2", 1.42, 0.15)
    energies = curve(one, PairPotential(cutoff=8.0, stiffness=4.0))
    section = Dissociation()
    section.known = {one.label: one}
    rows = {r.name: r.value for r in section.rows(emt(), Values({one.label: energies}), Values())}
    assert rows["molecules"] == 1
    assert rows["molecules whose energy falls outwards"] == 0
    assert rows["molecules whose energy falls inwards"] == 0
    assert rows["molecules: refused on the way"] == 0
    assert rows["molecules: energy of free atoms, mean |error|"] == pytest.approx(0, abs=0.005)
    assert rows["crystals"] == 0


def test_a_refusal_is_counted_and_a_fall_is_seen():
    section = Dissociation()
    one = section.known["molecule O2"]
    free = one.atomisation
    right = [free * (1 - math.exp(-6 * (s - 1))) ** 2 for s in one.scales]
    fallen = [e if s < 2 else e - 0.3 for s, e in zip(one.scales, right, strict=True)]
    sunken = [e if s > 0.6 else -5.0 for s, e in zip(one.scales, right, strict=True)]
    refused = [e if s < 2 else None for s, e in zip(one.scales, right, strict=True)]

    def figures(curve):
        rows = section.rows(emt(), Values({one.label: curve}), Values())
        return {row.name.removeprefix("molecules").strip(" :"): row.value for row in rows}

    assert figures(right)["energy of free atoms, mean |error|"] == pytest.approx(0, abs=1e-3)
    assert figures(fallen)["whose energy falls outwards"] == 1
    assert figures(fallen)["largest such fall"] == pytest.approx(0.3, abs=0.02)
    assert figures(fallen)["energy of free atoms, mean |error|"] == pytest.approx(0.3, abs=1e-3)
    assert figures(sunken)["whose energy falls inwards"] == 1
    assert figures(sunken)["whose energy falls outwards"] == 0
    assert figures(refused)["refused on the way"] == 1
    assert figures(refused)["whose energy falls outwards"] == 0
    assert figures(refused)["energy of free atoms, mean |error|"] is None


class Shortsighted(EMT):
    """Refuses atoms without a neighbour within 3 Å."""

    def calculate(self, atoms=None, *given, **more):
        super().calculate(atoms, *given, **more)
        if Atoms(atoms).repeat(2).get_all_distances(mic=True)[0, 1:].min() > 3.0:
            raise ValueError("an atom is alone")


def test_what_is_refused_has_no_energy():
    copper = next(one for one in bonded() if one.label == "crystal Cu")
    energies = curve(copper, CalculatorPotential(Shortsighted()))
    bonds = [s * copper.length / math.sqrt(2) for s in copper.scales]
    assert [e is None for e in energies] == [bond > 3.0 for bond in bonds]
    magnesia = next(one for one in bonded() if one.formula == "MgO")
    with pytest.raises(InputError, match="no energy of MgO"):
        curve(magnesia, CalculatorPotential(EMT()))
