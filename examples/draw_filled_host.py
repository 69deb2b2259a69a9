"""Fills a host and draws it empty and filled, side by side.

python examples/draw_filled_host.py picture.png
"""

import sys

import matplotlib.pyplot as plt
from ase.visualize.plot import plot_atoms
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import structure_to_atoms
from pymatgen_ext import StructureSampler


def main(target: str) -> None:
    """Perovskite without its large cation, and four fillings of it, the lowest in energy first."""
    host = Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.905), ["Ti", "O"], [[0.5, 0.5, 0.5], [0.5, 0.5, 0]]
    )
    filled = StructureSampler("chggen").inpaint(
        host, {"Sr": 1}, num_samples=4, seed=0, potential="dao-p"
    )
    figure, axes = plt.subplots(1, 1 + len(filled), figsize=(2.1 * (1 + len(filled)), 2.3))
    for axis, structure in zip(axes, [host, *filled], strict=True):
        plot_atoms(
            structure_to_atoms(structure).repeat(2),
            axis,
            radii=0.4,
            rotation="10x,-15y",
            show_unit_cell=0,
        )
        axis.set_axis_off()
        energy = structure.properties.get("crysdiff_energy_per_atom")
        axis.set_title("host" if energy is None else f"{energy:.3f} eV/atom", fontsize=9)
    figure.tight_layout()
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    main(*sys.argv[1:])
