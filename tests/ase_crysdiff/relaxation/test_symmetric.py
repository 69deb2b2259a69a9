"""Relaxation that keeps symmetry: it does, it ends where ASE's ends, and what is released falls
from saddles.
"""

import numpy as np
import pytest
import torch
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from pymatgen.core import Lattice, Structure

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.errors import InputError
from ase_crysdiff.relaxation.engine import relaxations
from ase_crysdiff.relaxation.structures import configurations, relax
from ase_crysdiff.relaxation.symmetric import KeptSymmetry
from ase_crysdiff.symmetry.operations import Operations
from ase_crysdiff.symmetry.own_cell import operations_of
from ase_crysdiff.symmetry.refinement import space_group
from ase_crysdiff.testing.crystals import prototypes, rattled
from ase_crysdiff.testing.pair_potential import PairPotential

POTENTIAL = PairPotential()
#: Simple cubic copper, which nothing but its symmetry keeps from becoming close-packed.
SADDLE = Structure(Lattice.cubic(2.5), ["Cu"], [[0, 0, 0]])


def perovskite():
    """Rhombohedrally distorted: free coordinates and a cell that is not cubic."""
    return Structure.from_spacegroup(
        "R3c",
        Lattice.hexagonal(5.63, 13.86),
        ["Bi", "Fe", "O"],
        [[0, 0, 0], [0, 0, 0.22], [0.443, 0.012, 0.954]],
    ).get_primitive_structure()


def rutile():
    return Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.6, 2.95), ["Ti", "O"], [[0, 0, 0], [0.3, 0.3, 0]]
    )


def skewed(structure):
    """The same crystal in a cell with long, oblique vectors, turned in space."""
    found = structure.copy()
    found.make_supercell([[1, 1, 0], [0, 1, 1], [0, 0, 1]])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    return Structure(found.lattice.matrix @ turn, found.species, found.frac_coords)


CRYSTALS = {
    "perovskite": perovskite(),
    "rutile": rutile(),
    "rutile, skewed": skewed(rutile()),
    "molybdenite": prototypes()["MoS2"],
}


@pytest.mark.parametrize("optimizer", ["lbfgs", "fire"])
def test_two_hundred_steps_leave_the_group_as_it_is(optimizer):
    known = [operations_of(s.copy().perturb(0.02)) for s in CRYSTALS.values()]
    starts = configurations([k.structure for k in known])
    operations = [k.operations for k in known]
    found = relaxations(
        starts, POTENTIAL, fmax=1e-30, steps=200, optimizer=optimizer, operations=operations
    )
    for i, outcome in found:
        rows = outcome.final.cells[0].numpy()
        frac = outcome.final.positions.numpy() @ np.linalg.inv(rows)
        assert outcome.steps == 200
        assert operations[i].deviation(frac, rows) < 1e-5
        # The descent has gone somewhere: nothing above would fail for a crystal at rest.
        assert np.abs(rows - known[i].structure.lattice.matrix).max() > 0.05


@pytest.mark.parametrize("name", CRYSTALS)
def test_it_goes_where_ase_goes_with_its_symmetry_fixed(name):
    known = operations_of(CRYSTALS[name])
    atoms = structure_to_atoms(known.structure)
    atoms.calc = PotentialCalculator(POTENTIAL)
    atoms.set_constraint(FixSymmetry(atoms, symprec=1e-3))
    # ASE's LBFGS tears the layered one apart: it keeps pairs of negative curvature.
    run = FIRE(FrechetCellFilter(atoms), logfile=None)
    run.run(fmax=1e-3, steps=300)
    energy = atoms.get_potential_energy()
    for optimizer in ("fire", "lbfgs"):
        (result,) = relax(CRYSTALS[name], POTENTIAL, fmax=1e-3, symmetric=True, optimizer=optimizer)
        assert result.converged
        assert result.energy == pytest.approx(energy, abs=1e-4 * len(atoms))
        assert result.space_group == known.symbol
        assert optimizer == "lbfgs" or result.steps == run.nsteps


def test_nothing_changes_for_those_who_do_not_ask():
    structures = rattled(6, deviation=0.03)
    sets = configurations(structures)
    alone = [Operations.identity(len(s)) for s in structures]
    plain = dict(relaxations(sets, POTENTIAL, steps=20))
    identity = dict(relaxations(sets, POTENTIAL, steps=20, operations=alone))
    for i, outcome in plain.items():
        assert torch.equal(identity[i].final.positions, outcome.final.positions)
        assert torch.equal(identity[i].final.cells, outcome.final.cells)
        assert identity[i].energy == outcome.energy
    results = relax(structures, POTENTIAL, steps=20)
    for i, result in enumerate(results):
        assert result.energy == plain[i].energy
        assert (result.space_group, result.kept_symmetry) == (None, None)


def test_a_crystal_does_not_depend_on_its_company():
    structures = [s.copy().perturb(0.02) for s in CRYSTALS.values()]
    together = relax(structures, POTENTIAL, steps=15, symmetric=True, max_atoms=16)
    for structure, result in zip(structures, together, strict=True):
        (alone,) = relax(structure, POTENTIAL, steps=15, symmetric=True)
        assert alone.energy == pytest.approx(result.energy, abs=1e-9)
        assert alone.steps == result.steps


def test_a_saddle_keeps_its_symmetry_until_it_is_released():
    (kept,) = relax(SADDLE, POTENTIAL, fmax=0.01, symmetric=True)
    assert kept.converged
    assert space_group(kept.structure, 1e-3) == ("Pm-3m", 221)
    assert kept.kept_symmetry is None
    (fallen,) = relax(SADDLE, POTENTIAL, fmax=0.01, symmetric=True, release=0.03)
    assert fallen.space_group == "Pm-3m"
    assert fallen.kept_symmetry is False
    assert fallen.symmetric_energy == pytest.approx(kept.energy)
    assert fallen.energy == fallen.released_energy
    assert fallen.energy < kept.energy - 0.3
    assert space_group(fallen.structure)[0] == "Fm-3m"
    assert fallen.first_energy == kept.first_energy
    assert fallen.steps > kept.steps
    again = relax([SADDLE], POTENTIAL, fmax=0.01, symmetric=True, release=0.03)[0]
    other = relax(SADDLE, POTENTIAL, fmax=0.01, symmetric=True, release=0.03, seed=1)[0]
    assert again.structure == fallen.structure
    assert other.structure != fallen.structure


def test_a_minimum_comes_back_as_it_was():
    copper = prototypes()["Cu"].perturb(0.0)
    (result,) = relax(copper, POTENTIAL, fmax=0.01, symmetric=True, release=0.03)
    assert result.kept_symmetry is True
    assert result.energy == result.symmetric_energy
    assert result.released_energy == pytest.approx(result.symmetric_energy, abs=1e-3)
    assert space_group(result.structure, 1e-4)[0] == "Fm-3m"


def test_the_cell_may_be_given():
    (result,) = relax(rutile(), POTENTIAL, relax_cell=False, symmetric=True, release=0.02)
    assert result.structure.lattice == rutile().lattice
    assert result.space_group == "P4_2/mnm"


def test_what_has_no_symmetry_relaxes_without_and_says_so():
    collapsed = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 0.11]])
    disordered = Structure(Lattice.cubic(4), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    chain = prototypes()["chain"]
    results = relax([collapsed, disordered, chain], POTENTIAL, symmetric=True, release=0.03)
    assert "not sound" in results[0].unsymmetric
    assert results[0].space_group is None
    assert "disordered" in results[1].reason
    assert results[2].space_group == "P1"
    assert results[2].kept_symmetry is None
    (plain,) = relax(chain, POTENTIAL, fmax=0.01)
    assert results[2].energy == pytest.approx(plain.energy, abs=1e-3)


def test_species_labels_and_properties_stay():
    structure = rutile().add_site_property("tag", list(range(6)))
    structure.properties = {"origin": "a test", "crysdiff_space_group": "mine"}
    (result,) = relax(structure, POTENTIAL, symmetric=True, release=0.03)
    assert result.structure.site_properties == {"tag": list(range(6))}
    assert result.structure.properties == structure.properties
    assert result.structure.species == structure.species


def test_random_moves_depend_on_the_number_of_the_draw_alone():
    keep = KeptSymmetry(release=0.03, seed=3)
    results = relax([rutile()], POTENTIAL, symmetric=True)
    first = keep.rattled(results[0], 0, True)
    assert first != keep.rattled(results[0], 1, True)
    results[0].structure.properties["crysdiff_index"] = 7
    seventh = keep.rattled(results[0], 0, True)
    assert seventh == keep.rattled(results[0], 1, True)
    assert seventh != first
    moves = keep.rattled(results[0], 0, False).cart_coords - results[0].structure.cart_coords
    assert 0.01 < np.std(moves) < 0.06


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"release": 0.03}, "symmetric=True"),
        ({"symmetric": True, "release": 0.0}, "release must be"),
        ({"symmetric": True, "release": 2.0}, "release must be"),
        ({"symmetric": True, "symprec": -0.1}, "symprec must be"),
        ({"symmetric": True, "seed": -1}, "seed must be"),
    ],
)
def test_nonsense_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        relax(rutile(), POTENTIAL, **options)


def test_operations_of_other_crystals_are_refused():
    with pytest.raises(InputError, match="operations must permute"):
        relaxations(configurations([rutile()]), POTENTIAL, operations=[Operations.identity(5)])
