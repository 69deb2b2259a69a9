"""Space groups of prototypes, their distributions, and displacements by relaxation."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from scipy.spatial.transform import Rotation

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.displacement import displacement, rmsd_to_relaxed
from ase_crysdiff.metrics.distributions import num_primitive_atoms_distance
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.space_groups import (
    Symmetry,
    against,
    jensen_shannon,
    space_groups,
    symmetries,
    symmetry_success,
)
from ase_crysdiff.testing.crystals import prototypes

PROTOTYPES = prototypes()
GROUPS = {"Cu": 225, "NaCl": 225, "SrTiO3": 221, "MoS2": 194, "chain": 1}
NAN = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [np.nan, 0, 0]])


def noisy(structure, sigma, seed):
    noise = sigma * np.random.default_rng(seed).standard_normal((len(structure), 3))
    return Structure(
        structure.lattice,
        structure.species,
        structure.cart_coords + noise,
        coords_are_cartesian=True,
    )


def with_groups(*numbers):
    return [Symmetry(n, 2) for n in numbers]


def test_prototypes_have_their_space_groups():
    found = symmetries(list(PROTOTYPES.values()))
    assert [s.group for s in found] == [GROUPS[name] for name in PROTOTYPES]
    assert [s.primitive for s in found] == [len(s) for s in PROTOTYPES.values()]
    result = symmetry_success(found)
    assert result.per_structure == (True, True, True, True, False)
    assert result.settings["curve"][0.01] == 0.8


def test_group_does_not_depend_on_the_description():
    base = PROTOTYPES["MoS2"]
    turned = Structure(
        Lattice(base.lattice.matrix @ Rotation.random(rng=np.random.default_rng(0)).as_matrix()),
        base.species[::-1],
        base.frac_coords[::-1] + np.array([0.3, 0.1, 7.2]),
    )
    (found,) = symmetries([turned * (2, 1, 1)])
    assert found.group == 194
    assert found.primitive == 6


def test_noise_takes_symmetry_away_below_its_size():
    structures = [noisy(PROTOTYPES["SrTiO3"], 0.03, seed) for seed in range(20)]
    curve = symmetry_success(symmetries(structures)).settings["curve"]
    assert curve[0.01] < 0.2 < 0.8 < curve[0.3]
    assert list(curve.values()) == sorted(curve.values())


def test_success_at_a_tighter_tolerance():
    found = symmetries([noisy(PROTOTYPES["SrTiO3"], 0.02, 0), PROTOTYPES["NaCl"], None])
    tight = symmetry_success(found, 0.01)
    assert tight.per_structure == (False, True, False)
    assert symmetry_success(found).per_structure == (True, True, False)
    assert tight.settings["symprec"] == 0.01
    with pytest.raises(InputError, match=r"one of 0\.01, .* got 0\.02"):
        symmetry_success(found, 0.02)


def test_the_same_groups_beside_other_crystals():
    result = space_groups(with_groups(225, 225, 1), with_groups(225))
    assert against(result, with_groups(225, 225, 1)).value == 0
    assert against(result, with_groups(2)).value == 1
    assert against(result, with_groups(225)) == result


def test_what_spglib_must_not_see_is_a_failure_and_not_p1():
    structures = [PROTOTYPES["NaCl"], NAN, None]
    found = symmetries(structures)
    result = symmetry_success(found)
    assert result.per_structure == (True, False, False)
    assert result.value == pytest.approx(1 / 3)
    assert result.failures == {1: "not finite", 2: "no structure"}
    groups = space_groups(found)
    assert groups.per_structure == (225, None, None)
    assert np.isnan(groups.value)
    with pytest.raises(InputError, match="no structures"):
        symmetry_success([])


def test_merged_atoms_have_no_group():
    """Two atoms 0.55 Å apart are one for spglib at 1 Å, and none of its groups is taken."""
    close = Structure(Lattice.cubic(3), ["Cu", "Cu"], [[0, 0, 0], [0.55 / 3, 0, 0]])
    (found,) = symmetries([close], curve=(0.01, 1.0))
    assert found.group == found.curve[0] == 123
    assert found.primitive == 2
    assert found.curve[1] is None


def test_space_group_distances_golden():
    same = space_groups(with_groups(225, 225, 1), with_groups(225, 1, 225))
    assert same.value == 0
    assert same.settings["total_variation"] == same.settings["crystal_systems"] == 0
    assert same.settings["counts"] == {1: 1, 225: 2}
    apart = space_groups(with_groups(225), with_groups(2, 14))
    assert apart.value == pytest.approx(1)
    assert apart.settings["total_variation"] == pytest.approx(1)
    near = space_groups(with_groups(225), with_groups(221))
    assert near.value == pytest.approx(1)
    assert near.settings["crystal_systems"] == 0


def test_jensen_shannon_golden():
    """Between (1, 0) and (1/2, 1/2) the divergence is 3/4 log2(4/3) - ... = 0.3113 bits."""
    assert jensen_shannon(np.array([1, 0]), np.array([1, 1])) == pytest.approx(
        0.3112781**0.5, abs=1e-6
    )
    assert jensen_shannon(np.array([3, 1]), np.array([6, 2])) == 0


def test_primitive_atoms_see_through_supercells():
    reference = Reference([PROTOTYPES["NaCl"], PROTOTYPES["SrTiO3"]])
    drawn = [PROTOTYPES["NaCl"] * (2, 2, 1), PROTOTYPES["SrTiO3"] * (1, 1, 2), None]
    result = num_primitive_atoms_distance(symmetries(drawn), reference)
    assert result.value == 0
    assert result.per_structure == (2.0, 5.0, None)
    assert list(result.failures) == [2]
    assert space_groups(symmetries(drawn), reference.symmetries).value == 0


# Displacements


def moved(structure, cart=None, frac=None, matrix=None):
    shift = np.zeros((len(structure), 3)) if frac is None else np.array(frac)
    if cart is not None:
        shift = shift + structure.lattice.get_fractional_coords(cart)
    return Structure(
        Lattice(structure.lattice.matrix if matrix is None else matrix),
        structure.species,
        structure.frac_coords + shift,
    )


def test_rigid_motion_is_no_displacement():
    base = PROTOTYPES["chain"]
    turn = Rotation.random(rng=np.random.default_rng(1)).as_matrix()
    other = moved(base, frac=np.tile([0.6, -0.3, 2.5], (5, 1)), matrix=base.lattice.matrix @ turn)
    found = displacement(base, other)
    assert found.rmsd == pytest.approx(0, abs=1e-9)
    assert found.volume_ratio == pytest.approx(1)
    assert found.strain == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("which", [0, 2])
def test_atom_that_crosses_the_boundary_has_moved_little(which):
    n = 5
    coords = np.array([[0.2 * i, 0.5, 0.5] for i in range(n)])
    coords[which, 0] = 0.999
    before = Structure(Lattice.cubic(4), ["Na"] * n, coords)
    coords[which, 0] = 0.001
    after = Structure(Lattice.cubic(4), ["Na"] * n, coords)
    assert displacement(before, after).rmsd == pytest.approx(0.008 * np.sqrt(n - 1) / n, abs=1e-12)
    assert displacement(before, after).largest == pytest.approx(0.008 * (1 - 1 / n), abs=1e-12)


def test_strain_moves_no_atom():
    base = PROTOTYPES["SrTiO3"]
    found = displacement(base, moved(base, matrix=1.02 * base.lattice.matrix))
    assert found.rmsd == pytest.approx(0, abs=1e-12)
    assert found.volume_ratio == pytest.approx(1.02**3)
    assert found.strain == pytest.approx(0.02 * np.sqrt(3))


def test_swapped_atoms_have_moved():
    base = PROTOTYPES["MoS2"]
    swapped = Structure(base.lattice, base.species, base.frac_coords[[1, 0, 2, 3, 4, 5]])
    assert displacement(base, swapped).rmsd > 1
    with pytest.raises(InputError, match="same order"):
        displacement(base, PROTOTYPES["chain"])


def test_rmsd_to_relaxed_counts_what_is_trusted():
    base = PROTOTYPES["chain"]
    step = np.zeros((5, 3))
    step[0, 0] = 0.1
    after = moved(base, cart=step)
    result = rmsd_to_relaxed(
        [base, base, None, NAN], [after, after, None, NAN], {1: "not converged"}
    )
    assert result.value == pytest.approx(0.1 * np.sqrt(4) / 5)
    assert result.per_structure[1:] == (None, None, None)
    assert result.failures == {1: "not converged", 2: "no structure", 3: "not finite"}
    assert np.isnan(rmsd_to_relaxed([None], [None], {}).value)
