"""Small frameworks that are built by hand, and an untrained model that assembles such."""

from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Lattice, Molecule, Structure

from ase_crysdiff.crystal.reduction import Cell
from ase_crysdiff.data.frameworks import PackedFrameworks
from ase_crysdiff.frameworks.batch import FrameworkBatch
from ase_crysdiff.frameworks.cutting import cut
from ase_crysdiff.models import weights
from ase_crysdiff.models.recipe import direct_recipe, recipe

#: Pyrazine in the xy plane, nitrogen on the x axis, Å.
PYRAZINE = Molecule(
    ["N", "N", *["C"] * 4, *["H"] * 4],
    [
        [1.39, 0, 0],
        [-1.39, 0, 0],
        *[[a * 0.69, b * 1.13, 0] for a in (1, -1) for b in (1, -1)],
        *[[a * 1.23, b * 2.06, 0] for a in (1, -1) for b in (1, -1)],
    ],
)
EDGE = 6.98


def pyrazine_cube(metal: str = "Zn", edge: float = EDGE) -> Structure:
    """One metal and three pyrazines, one along each edge of a cube, all planes different."""
    species, places = [metal], [np.zeros(3)]
    base = PYRAZINE.cart_coords
    for axis in range(3):
        turned = np.roll(base, axis, axis=1)
        species += [site.specie.symbol for site in PYRAZINE]
        places += list(turned + edge / 2 * np.eye(3)[axis])
    return Structure(Lattice.cubic(edge), species, places, coords_are_cartesian=True)


def cell_of(structure: Structure) -> Cell:
    """The cell of a structure as it stands."""
    numbers = np.array([site.specie.Z for site in structure])
    return Cell(np.array(structure.lattice.matrix), structure.frac_coords % 1.0, numbers)


def strained(count: int) -> list[Structure]:
    """Cubes of different metals, strained and sheared at random."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(count):
        cube = pyrazine_cube(("Zn", "Cu", "Ni", "Cd")[number % 4])
        noise = 0.02 * generator.standard_normal((3, 3))
        rows = cube.lattice.matrix @ (np.eye(3) + noise)
        found.append(Structure(Lattice(rows), cube.species, cube.frac_coords))
    return found


def packed_frameworks(count: int = 12) -> PackedFrameworks:
    """Cubes that were cut into their blocks."""
    batch = FrameworkBatch.of([cut(cell_of(s)) for s in strained(count)])
    return PackedFrameworks(batch, names=tuple(f"MOF-{i}" for i in range(count)))


def write_library(folder: Path) -> Path:
    """A library of cubes of four metals, each strained in its own way."""
    packed_frameworks().save(folder / "frameworks.safetensors")
    maker = direct_recipe("framework-prototypes")
    assert maker is not None
    maker.make(folder / "frameworks.safetensors", folder, maker.name, {}, {})
    return folder


def write_mofflow(folder: Path) -> Path:
    """Weights of an untrained model of toy size."""
    config = recipe("mofflow").configure(packed_frameworks())
    config["network"] = {"hidden": 16, "edges": 16, "layers": 1, "images": 6, "atoms": 8}
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(1)
        model = recipe("mofflow").build(config)
    card = {
        "name": "mofflow",
        "config": config,
        "sampling": {"steps": 5, "solver": "euler", "start": 1.0},
        "training": {},
        "measured": {},
        "elements": config["elements"],
        "licence": "MIT",
    }
    weights.save(folder, dict(model.denoiser.network.named_parameters()), card)
    return folder
