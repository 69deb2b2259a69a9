"""Draws the crystals of a folder of CIF files into one picture.

python examples/draw_crystals.py crystals picture.png
"""

import sys
from pathlib import Path

import ase.io
import matplotlib.pyplot as plt
from ase.visualize.plot import plot_atoms


def main(folder: str, target: str, columns: int = 8) -> None:
    """One panel per CIF file, two cells along each axis, titled with the formula."""
    files = sorted(Path(folder).glob("*.cif"))
    rows = -(-len(files) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.7 * columns, 1.9 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, file in zip(axes.flat, files, strict=False):
        atoms = ase.io.read(file)
        plot_atoms(atoms.repeat(2), axis, radii=0.35, rotation="10x,-15y", show_unit_cell=0)
        axis.set_title(file.stem.split("-", 1)[1], fontsize=9)
    figure.tight_layout()
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    main(*sys.argv[1:])
