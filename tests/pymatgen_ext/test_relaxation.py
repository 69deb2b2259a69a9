"""`relax` as users call it."""

import math
import re

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS
from pymatgen.core import Lattice, Structure

import pymatgen_ext
from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.errors import CrysDiffError, InputError
from ase_crysdiff.relaxation.rejection import rejection_reason
from ase_crysdiff.testing.crystals import prototypes, rattled
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import relax


def test_relaxes_as_ase_does_and_keeps_the_rest():
    structure = rattled(2, deviation=0.01)[1]
    structure.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    structure.add_site_property("magmom", [0.5, -0.5])
    structure.properties = {"origin": "a test"}
    before = structure.copy()
    (result,) = relax([structure], PairPotential(), fmax=0.01, optimizer="lbfgs-ase")
    atoms = structure_to_atoms(structure)
    atoms.info.clear()
    atoms.calc = PotentialCalculator(PairPotential())
    run = LBFGS(FrechetCellFilter(atoms), logfile=None)
    run.run(fmax=0.01)
    assert structure == before
    assert structure.properties == before.properties
    assert result.converged
    assert result.reason is None or not result.accepted
    assert result.steps == run.nsteps
    assert result.fmax < 0.01
    assert result.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    assert result.energy_per_atom == pytest.approx(result.energy / 2)
    assert result.first_energy > result.energy
    np.testing.assert_allclose(result.structure.lattice.matrix, atoms.cell.array, atol=1e-5)
    np.testing.assert_allclose(result.structure.cart_coords, atoms.positions, atol=1e-5)
    assert result.structure.species == structure.species
    assert result.structure.site_properties == {"magmom": [0.5, -0.5]}
    assert result.structure.properties == {"origin": "a test"}


def test_any_ase_calculator_and_atoms_will_do():
    atoms = [bulk("Cu", a=3.7), bulk("Au", cubic=True)]
    first, second = relax(atoms, EMT(), fmax=0.01)
    assert first.converged
    assert second.converged
    assert first.accepted
    assert first.structure.lattice.a * 2**0.5 == pytest.approx(3.59, abs=0.01)  # EMT's copper
    assert atoms[0].cell.array[0, 1] == 1.85
    assert relax(atoms[0], PotentialCalculator(PairPotential()))[0].converged


def test_order_is_kept_and_bad_entries_are_reported():
    disordered = Structure(Lattice.cubic(4), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    flat = Structure(Lattice([[3, 0, 0], [0, 3, 0], [3, 3, 1e-9]]), ["Cu"], [[0, 0, 0]])
    lost = Structure(Lattice.cubic(4), ["Fe"], [[np.nan, 0, 0]])
    slab = bulk("Cu")
    slab.pbc = (True, True, False)
    sound = rattled(3)
    results = relax(
        [sound[2], disordered, sound[0], flat, lost, slab, None, sound[1]], PairPotential()
    )
    assert [len(results[i].structure) for i in (0, 2, 7)] == [5, 1, 2]
    assert all(results[i].converged for i in (0, 2, 7))
    expected = {
        1: "disordered",
        3: "parallel",
        4: "not finite",
        5: "periodic along",
        6: "got NoneType",
    }
    for i, message in expected.items():
        result = results[i]
        assert message in result.reason
        assert (result.converged, result.accepted, result.steps) == (False, False, 0)
        assert math.isnan(result.energy)
    assert results[1].structure is disordered
    assert results[5].structure is None
    assert relax([], PairPotential()) == []


@pytest.mark.parametrize(
    "gas",
    [
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(11.4), ["Ga", "N"], [[0] * 3, [0.5] * 3]),
        Structure(Lattice.cubic(5.6), ["O"], [[0] * 3]),
    ],
    ids=lambda s: s.composition.reduced_formula,
)
def test_a_gas_never_converges(gas):
    """No forces are no minimum where a potential sees nothing; the energy, which dao-p knows, is
    that of free atoms however far apart.
    """
    wider = gas.copy()
    wider.scale_lattice(2 * gas.volume)
    result, other = relax([gas, wider])
    assert not result.converged
    assert not result.accepted
    assert result.energy == pytest.approx(other.energy)
    assert "atom 0" in result.reason
    assert "has no neighbour" in result.reason


def test_fixed_cell_and_running_out_of_steps():
    (structure,) = rattled(1)
    structure.make_supercell([2, 1, 1])
    structure.translate_sites([1], [0.05, 0, 0])
    (result,) = relax(structure, PairPotential(), relax_cell=False, steps=1, fmax=1e-5)
    assert result.structure.lattice == structure.lattice
    assert not result.converged
    assert result.accepted
    assert "not converged: after 1 steps" in result.reason


def test_progress_bar_counts_crystals(capsys):
    relax(rattled(2), PairPotential(), progress=True)
    assert "2/2" in capsys.readouterr().err
    relax(rattled(2), PairPotential())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.scale_lattice(s.volume * 1.25), "volume has changed by .25 %"),
        (lambda s: s.scale_lattice(s.volume * 0.79), "volume has changed by -21 %"),
        (
            lambda s: s.translate_sites([0], [0.35, 0.35, 0.35], to_unit_cell=False),
            "(Na and Cl|Cl and Na) are .* Å apart",
        ),
        (lambda s: s.replace(0, "K"), "formula has changed from Na1 Cl1 to K1 Na1"),
    ],
)
def test_objections(change, message):
    first = prototypes()["NaCl"]
    final = first.copy()
    assert rejection_reason(first, final, -1.0, -1.5) is None
    change(final)
    assert re.search(message, rejection_reason(first, final, -1.0, -1.5))


def test_rising_or_missing_energy_is_an_objection():
    structure = prototypes()["NaCl"]
    assert rejection_reason(structure, structure, -1.0, -1.0) is None
    assert "risen by 0.05 eV/atom" in rejection_reason(structure, structure, -1.0, -0.9)
    assert "risen" in rejection_reason(structure, structure, math.nan, -0.9)


def test_nonsense_is_refused():
    with pytest.raises(InputError, match="optimizer must be one of"):
        relax(rattled(1), PairPotential(), optimizer="newton")
    with pytest.raises(InputError, match="fmax"):
        relax([], PairPotential(), fmax=0.0)
    with pytest.raises(CrysDiffError):
        relax(rattled(1), "no-such-potential")
    with pytest.raises(InputError, match="instance of an ASE calculator"):
        relax(rattled(1), EMT)


def test_public_name():
    assert pymatgen_ext.relax is relax
    assert "relax" in pymatgen_ext.__all__
