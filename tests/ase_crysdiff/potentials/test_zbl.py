import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import covalent_radii

from ase_crysdiff.data.labels import graph_of
from ase_crysdiff.networks.graph import Neighborhood
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.zbl import pair_energy, reach, repulsion

NEAR = Neighborhood(None, 5.0)


def by_hand(z1, z2, r):
    """Ziegler, Biersack and Littmark with SI constants, and the switch written out."""
    charge, vacuum, bohr = 1.602176634e-19, 8.8541878128e-12, 0.529177210903
    a = 0.8854 * bohr / (z1**0.23 + z2**0.23)
    phi = sum(
        c * np.exp(-d * r / a)
        for c, d in ((0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.02817, 0.20162))
    )
    x = r / (0.6 * (covalent_radii[z1] + covalent_radii[z2]))
    switch = 1 - 21 * x**5 + 35 * x**6 - 15 * x**7
    return z1 * z2 * charge / (4 * np.pi * vacuum * r * 1e-10) * phi * switch


@pytest.mark.parametrize(("z1", "z2", "r"), [(1, 1, 0.2), (8, 8, 0.5), (14, 8, 0.9), (55, 53, 1.4)])
def test_energy_is_the_universal_potential(z1, z2, r):
    found = pair_energy(
        torch.tensor([z1]), torch.tensor([z2]), torch.tensor([r], dtype=torch.float64)
    )
    assert float(found) == pytest.approx(by_hand(z1, z2, r), rel=1e-5)


def test_nothing_is_added_at_bond_lengths():
    bonds = {
        "N2": 1.10,
        "O2": 1.21,
        "H2": 0.74,
        "CO": 1.13,
        "CH": 1.09,
        "F2": 1.41,
        "NO": 1.15,
        "LiH": 1.6,
        "BN": 1.28,
    }
    for name, length in bonds.items():
        z = Atoms(name if name != "BN" else "BN").numbers
        first, second = torch.tensor([int(z[0])]), torch.tensor([int(z[-1])])
        assert float(reach(first, second)) < 0.9 * length, name
    for atoms in (
        bulk("C", "diamond", 3.57),
        bulk("Cs"),
        bulk("MgO", "rocksalt", 4.21),
        molecule("C2H2"),
    ):
        graph = graph_of(from_atoms([atoms]), NEAR)
        assert float(repulsion(graph).energies.abs().max()) == 0


def test_terms_are_consistent():
    rng = np.random.default_rng(0)
    atoms = Atoms(
        "SiOCuH",
        rng.uniform(0, 1.2, (4, 3)),
        cell=[[3, 0.2, 0], [0, 3.1, 0.1], [0.3, 0, 2.9]],
        pbc=True,
    )

    def total(x):
        copy = atoms.copy()
        copy.positions = x
        return float(repulsion(graph_of(from_atoms([copy]), NEAR)).energies.sum())

    graph = graph_of(from_atoms([atoms]), NEAR)
    terms = repulsion(graph)
    forces = terms.forces
    for i in range(4):
        for axis in range(3):
            up, down = atoms.positions.copy(), atoms.positions.copy()
            up[i, axis] += 1e-5
            down[i, axis] -= 1e-5
            numeric = -(total(up) - total(down)) / 2e-5
            assert float(forces[i, axis]) == pytest.approx(numeric, rel=1e-5, abs=1e-5)
    assert float(terms.forces.abs().max()) > 1
