"""Cuts a framework, assembles its blocks anew, and draws blocks, target and draws side by side.

python examples/draw_framework.py framework.cif picture.png
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.visualize.plot import plot_atoms
from pymatgen.core import Molecule, Structure

from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.metrics.frameworks import framework_distances
from pymatgen_ext import StructureSampler, building_blocks


def apart(blocks: list[Molecule]) -> Atoms:
    """One block of each kind, side by side."""
    kinds = {block.composition.reduced_formula: block for block in blocks}
    found, edge = Atoms(), 0.0
    for block in sorted(kinds.values(), key=len):
        places = block.cart_coords - block.cart_coords.min(0)
        found += Atoms([site.specie.symbol for site in block], places + np.array([edge, 0, 0]))
        edge += places[:, 0].max() + 3.0
    return found


def main(source: str, target: str, draws: str = "8") -> None:
    """The blocks, the framework that they come from, and the nearest of some draws."""
    framework = Structure.from_file(source)
    samples = StructureSampler("mofflow").sample(int(draws), building_blocks=framework, seed=0)
    known = framework.get_reduced_structure()

    def distance(sample: Structure) -> float:
        loose = framework_distances((sample, known))[1]
        return 9.0 if loose is None else loose

    nearest = sorted(samples, key=distance)[:2]
    pictures = {"blocks": apart(building_blocks(framework)), "known": structure_to_atoms(known)}
    for number, sample in enumerate(nearest, start=1):
        found = distance(sample)
        title = "no match" if found == 9.0 else f"RMSD {found:.2f}"
        pictures[f"draw {number}: {title}"] = structure_to_atoms(sample)
    figure, axes = plt.subplots(1, len(pictures), figsize=(2.6 * len(pictures), 2.8))
    for axis, (title, atoms) in zip(axes, pictures.items(), strict=True):
        plot_atoms(atoms, axis, radii=0.5, rotation="10x,-15y", show_unit_cell=2)
        axis.set_axis_off()
        axis.set_title(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(target, dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
