"""Small crystals built from prototypes, for tests here and in plugins."""

from functools import cache

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import copy_of, from_structures


def prototypes() -> dict[str, Structure]:
    """One atom, two species, a perovskite, a layered cell, a skewed triclinic chain of five
    elements.
    """
    return {name: copy_of(structure) for name, structure in _prototypes().items()}


@cache
def _prototypes() -> dict[str, Structure]:
    """Built once, because finding primitive cells takes a second."""
    return {
        "Cu": Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(3.61), ["Cu"], [[0, 0, 0]]
        ).get_primitive_structure(),
        "NaCl": Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
        ).get_primitive_structure(),
        "SrTiO3": Structure.from_spacegroup(
            "Pm-3m",
            Lattice.cubic(3.905),
            ["Sr", "Ti", "O"],
            [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]],
        ),
        "MoS2": Structure(
            Lattice.hexagonal(3.16, 12.29),
            ["Mo", "Mo", "S", "S", "S", "S"],
            [
                [1 / 3, 2 / 3, 0.25],
                [2 / 3, 1 / 3, 0.75],
                [1 / 3, 2 / 3, 0.621],
                [2 / 3, 1 / 3, 0.121],
                [1 / 3, 2 / 3, 0.879],
                [2 / 3, 1 / 3, 0.379],
            ],
        ),
        "chain": Structure(
            Lattice.from_parameters(4.0, 4.4, 9.0, 80, 95, 110),
            ["Li", "Mg", "Al", "Si", "P"],
            [[0.1, 0.2, 0.0], [0.4, 0.7, 0.2], [0.8, 0.3, 0.4], [0.2, 0.9, 0.6], [0.6, 0.5, 0.8]],
        ),
    }


def rattled(count: int, seed: int = 0, deviation: float = 0.02) -> list[Structure]:
    """Prototypes in turn with random strains and displacements: a data set for tests."""
    generator = np.random.default_rng(seed)
    bases = list(prototypes().values())
    found = []
    for i in range(count):
        base = bases[i % len(bases)]
        strain = np.eye(3) + deviation * generator.standard_normal((3, 3))
        moved = base.frac_coords + deviation * generator.standard_normal((len(base), 3))
        found.append(Structure(Lattice(base.lattice.matrix @ strain), base.species, moved % 1))
    return found


def random_batch(sizes: list[int], generator: torch.Generator) -> CrystalBatch:
    """Crystals with random cells, coordinates and species."""
    total = sum(sizes)
    lattice = 4 * torch.eye(3) + 0.8 * torch.randn(len(sizes), 3, 3, generator=generator)
    return CrystalBatch(
        lattice,
        torch.rand(total, 3, generator=generator),
        torch.randint(1, 90, (total,), generator=generator),
        torch.tensor(sizes),
    )


def prototype_batch() -> CrystalBatch:
    """The prototypes as a sorted batch."""
    return from_structures(list(prototypes().values())).sorted()[0]


def strained_salt(seed: int = 1) -> Atoms:
    """A rattled and sheared rocksalt cell of 8 atoms: every component of its stress differs."""
    atoms = bulk("NaCl", "rocksalt", a=5.3, cubic=True)
    atoms.rattle(0.05, seed=seed)
    strain = np.array([[1.01, 0.03, -0.02], [0, 0.98, 0.05], [0, 0, 1.02]])
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return atoms
