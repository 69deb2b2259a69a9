"""Vibrations of repeated crystals: closed forms, phonopy, saddles, and what is refused."""

import math

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from ase_crysdiff.ase_calculator import DAOPCalculator
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Evaluation, Potential
from ase_crysdiff.relaxation.displaced import RepeatedCrystal, forces_on, responses
from ase_crysdiff.relaxation.normal_modes import frequencies, wave_vectors
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.relaxation.supercells import Supercell, force_constants, repeats_of
from ase_crysdiff.relaxation.vibrations import lowest_modes
from ase_crysdiff.symmetry.operations import Operations
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential

POTENTIAL = PairPotential()
#: Nothing but its symmetry keeps it from becoming close-packed.
SADDLE = Structure(Lattice.cubic(2.5), ["Cu"], [[0, 0, 0]])
RUTILE = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.6, 2.95), ["Ti", "O"], [[0, 0, 0], [0.3, 0.3, 0]]
)


def at_rest(structure, potential=POTENTIAL, **options):
    (result,) = relax(
        [structure], potential, fmax=1e-4, symmetric=True, steps=1000, progress=False, **options
    )
    assert result.structure is not None
    assert result.fmax < 1e-4
    return result.structure


def modes_of(structure, min_length=5.0, symmetric=True):
    """All frequencies, and the crystal."""
    crystal = RepeatedCrystal.of(structure, 1e-2, min_length, 256)
    if not symmetric:
        cell = crystal.supercell
        identity = Operations.identity(len(structure))
        plain = Supercell(cell.lattice, cell.frac_coords, identity, cell.repeats)
        crystal = RepeatedCrystal(crystal.atoms, plain)
    ((changes, reason),) = responses([crystal], POTENTIAL, 1e-3)  # in double precision
    assert reason is None
    repeats = crystal.supercell.repeats
    constants = force_constants(crystal.supercell, changes)
    return frequencies(constants, crystal.atoms.get_masses(), repeats), crystal


def test_fcc_has_the_frequencies_of_the_closed_form():
    """ω² are eigenvalues of Σ_R Φ(R) (1 - cos q·R) / m, with Φ = (V'' - V'/r) r̂r̂ + V'/r 1."""
    structure = at_rest(prototypes()["Cu"])
    found, crystal = modes_of(structure, min_length=6.0)
    steps = np.array(np.meshgrid(*[np.arange(-4, 5)] * 3)).reshape(3, -1).T
    bonds = steps @ structure.lattice.matrix
    lengths = np.linalg.norm(bonds, axis=1)
    near = (lengths > 0) & (lengths < POTENTIAL.cutoff)
    steps, bonds, lengths = steps[near], bonds[near], lengths[near]
    radii = 2 * POTENTIAL._radii[29]
    r = torch.tensor(lengths, requires_grad=True)
    energies = POTENTIAL._bond(r, radii.expand(len(lengths)))
    (slopes,) = torch.autograd.grad(energies.sum(), r, create_graph=True)
    (curvatures,) = torch.autograd.grad(slopes.sum(), r)
    unit = bonds / lengths[:, None]
    along = np.einsum("ri,rj->rij", unit, unit)
    tension = (slopes.detach().numpy() / lengths)[:, None, None]
    phi = (curvatures.numpy()[:, None, None] - tension) * along + tension * np.eye(3)
    phases = 1 - np.cos(2 * np.pi * wave_vectors(crystal.supercell.repeats) @ steps.T)
    squares = np.linalg.eigvalsh(np.einsum("qr,rij->qij", phases, phi) / 63.546)
    expected = np.sqrt(np.abs(squares)) * 15.63330  # √(eV/Å²/u) in THz
    assert crystal.supercell.repeats == (4, 4, 4)
    np.testing.assert_allclose(found[1:], expected[1:], atol=2e-4)
    assert (found[0] == 0).all()


@pytest.mark.parametrize("name", ["MoS2", "rutile", "NaCl"])
def test_symmetry_saves_displacements_and_changes_nothing(name):
    structure = at_rest({**prototypes(), "rutile": RUTILE}[name])
    fewer, crystal = modes_of(structure)
    every, plain = modes_of(structure, symmetric=False)
    np.testing.assert_allclose(fewer, every, atol=2e-4)
    assert len(plain.supercell.steps) == 6 * len(structure)
    assert len(crystal.supercell.steps) <= len(plain.supercell.steps) / 3


def test_a_cell_of_several_primitive_ones_has_the_same_modes():
    primitive = at_rest(prototypes()["NaCl"])
    conventional = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(primitive.lattice.a * math.sqrt(2)), ["Na", "Cl"],
        [[0, 0, 0], [0.5, 0.5, 0.5]],
    )  # fmt: skip
    one, small = modes_of(primitive, min_length=6.0)
    other, large = modes_of(conventional, min_length=6.0)
    assert len(small.supercell.steps) == len(large.supercell.steps) == 2
    # Every mode of one supercell is in the other's as well, if their lattices are nested.
    assert abs(one.min() - other.min()) < 0.3 * abs(one.min()) + 1e-3
    assert abs(one.max() - other.max()) < 2e-3


def test_unlike_repeats_keep_only_operations_that_fit():
    cell = Supercell(
        np.eye(3) * 3.0,
        np.zeros((1, 3)),
        RepeatedCrystal.of(SADDLE, 1e-2, 2.0, 64).supercell.symmetry,
        (4, 2, 2),
    )
    assert len(cell.symmetry) == 48
    assert len(cell.operations) == 16
    cell.operations.check()


def test_phonopy_agrees():
    phonopy = pytest.importorskip("phonopy")
    from pymatgen.io.phonopy import get_phonopy_structure, get_pmg_structure

    structure = at_rest(RUTILE)
    found, crystal = modes_of(structure)
    repeats = crystal.supercell.repeats
    cell = Structure(crystal.supercell.lattice, RUTILE.species, crystal.supercell.frac_coords)
    other = phonopy.Phonopy(get_phonopy_structure(cell), np.diag(repeats), primitive_matrix="P")
    other.generate_displacements(distance=1e-3, is_plusminus=True)
    cells = [get_pmg_structure(c).to_ase_atoms() for c in other.supercells_with_displacements]
    other.forces = np.array([forces for forces, _ in forces_on(cells, POTENTIAL)])
    other.produce_force_constants()
    other.symmetrize_force_constants()
    other.run_qpoints(wave_vectors(repeats))
    expected = other.qpoints.frequencies
    np.testing.assert_allclose(
        found[1:], expected[1:], atol=1e-3
    )  # masses differ in the fifth digit
    np.testing.assert_allclose(np.sort(found[0]), np.sort(expected[0]), atol=1e-3)


def test_saddles_are_told_from_minima():
    minimum, saddle = at_rest(prototypes()["Cu"]), at_rest(SADDLE)
    stable, unstable = lowest_modes([minimum, saddle], POTENTIAL)
    assert stable.stable is True
    assert stable.lowest > 1
    assert stable.remark is None
    assert unstable.stable is False
    assert unstable.lowest < -1
    assert unstable.imaginary > 10
    assert "imaginary modes, the lowest at" in str(unstable.remark)


def test_a_distortion_that_doubles_the_axes_is_seen():
    """The octahedra of cubic CaTiO3 turn in opposite senses: nothing in the cell itself tells."""
    perovskite = prototypes()["SrTiO3"]
    perovskite.replace_species({"Sr": "Ca"})
    structure = at_rest(perovskite, "dao-p")
    alone, repeated = (
        lowest_modes([structure], DAOPCalculator(), min_length=length)[0] for length in (1.0, 6.0)
    )
    assert alone.supercell == (1, 1, 1)
    assert repeated.supercell == (2, 2, 2)
    assert repeated.stable is False
    assert repeated.point == (0.5, 0.5, 0.5)
    assert repeated.lowest < alone.lowest - 0.5


def test_no_crystal_touches_another():
    structures = [at_rest(s) for s in (prototypes()["Cu"], SADDLE, RUTILE)]
    together = lowest_modes([structures[0], "no crystal", *structures[1:]], POTENTIAL)
    assert together[1].stable is None
    assert "str" in str(together[1].remark)
    for structure, found in zip(structures, [together[0], *together[2:]], strict=True):
        (alone,) = lowest_modes(structure, POTENTIAL)
        assert found == alone


def test_repeats_are_powers_of_two_and_few_enough():
    assert repeats_of(np.diag([3.9, 6.1, 12.0]), 5, 6.0, 256) == (2, 1, 1)
    assert repeats_of(np.diag([1.4, 2.9, 6.0]), 1, 6.0, 256) == (8, 4, 1)
    assert repeats_of(np.eye(3) * 3.9, 40, 6.0, 256) == (1, 1, 1)  # equal axes stay equal
    assert repeats_of(np.diag([3.9, 3.9, 5.0]), 40, 6.0, 256) == (2, 2, 1)
    assert repeats_of(np.eye(3) * 9, 500, 6.0, 256) == (1, 1, 1)


class Silent(Potential):
    """Gives no forces."""

    name, elements = "silent", PairPotential.elements
    dtype, device = torch.float64, torch.device("cpu")

    def evaluate(self, configurations):
        found = POTENTIAL.evaluate(configurations)
        return Evaluation(
            found.energies, found.energy, torch.full_like(found.forces, math.nan), found.stress
        )


def test_what_cannot_be_said_has_a_reason():
    stretched = Structure(Lattice.cubic(3.3), ["Na", "Cl"], [[0, 0, 0], [0.4, 0.5, 0.5]])
    found = lowest_modes([stretched, SADDLE.copy()], POTENTIAL, max_atoms=1)
    assert [v.stable for v in found] == [None, None]
    assert "not at rest: an atom feels" in str(found[0].remark)
    assert found[0].fmax > 0.1
    assert "no vibrations" in str(found[1].remark)
    gas, overlap = (
        Structure(Lattice.cubic(a), ["Na", "Na"], [[0, 0, 0], [z, z, z]])
        for a, z in ((14.0, 0.5), (4.0, 0.05))
    )
    for vague in lowest_modes([gas, overlap], POTENTIAL):
        assert vague.stable is None
        assert "not sound" in str(vague.remark)
    (mute,) = lowest_modes(SADDLE, Silent())
    assert mute.stable is None
    assert math.isnan(mute.lowest)
    assert "not finite" in str(mute.remark)
    assert lowest_modes([], POTENTIAL) == []
    with pytest.raises(InputError, match="displacement"):
        lowest_modes(SADDLE, POTENTIAL, displacement=0.0)
    with pytest.raises(InputError, match="max_atoms"):
        lowest_modes(SADDLE, POTENTIAL, max_atoms=0)
