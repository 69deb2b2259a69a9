"""Forces and stress from energies alone, by central differences; ASE has them since 3.24."""

import numpy as np


def numerical_forces(atoms, eps):
    """Shape (atoms, 3), eV/Å; positions are moved by eps (Å) either way."""
    forces = np.zeros((len(atoms), 3))
    for place in np.ndindex(forces.shape):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions[place] += sign * eps
            energies.append(moved.get_potential_energy())
        forces[place] = (energies[1] - energies[0]) / (2 * eps)
    return forces


def numerical_stress(atoms, eps):
    """Voigt order, eV/Å³, tension positive; the cell is strained by eps either way."""
    stress = []
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * eps / 2
            strain[j, i] += sign * eps / 2
            strained = atoms.copy()
            strained.calc = atoms.calc
            strained.set_cell(atoms.cell @ strain, scale_atoms=True)
            energies.append(strained.get_potential_energy())
        stress.append((energies[0] - energies[1]) / (2 * eps * atoms.get_volume()))
    return np.array(stress)
