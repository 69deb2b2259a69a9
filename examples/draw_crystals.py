"""Draws the crystals of folders of CIF files into one picture, one block of panels for each folder.

python examples/draw_crystals.py crystals picture.png
python examples/draw_crystals.py drawn relaxed known picture.png
"""

import sys
from pathlib import Path

import ase.io
import matplotlib.pyplot as plt
from ase.visualize.plot import plot_atoms


def main(folders: list[str], target: str, columns: int = 8) -> None:
    """One panel per CIF file, two cells along each axis, titled with the formula."""
    blocks = [sorted(Path(folder).glob("*.cif")) for folder in folders]
    heights = [-(-len(files) // columns) for files in blocks]
    figure = plt.figure(figsize=(1.7 * columns, 1.9 * sum(heights)), layout="constrained")
    parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False).flat
    for part, folder, files, height in zip(parts, folders, blocks, heights, strict=True):
        if len(folders) > 1:
            part.suptitle(Path(folder).name, fontsize=13)
        axes = part.subplots(height, columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, file in zip(axes.flat, files, strict=False):
            atoms = ase.io.read(file)
            plot_atoms(atoms.repeat(2), axis, radii=0.35, rotation="10x,-15y", show_unit_cell=0)
            axis.set_title(file.stem.split("-", 1)[1], fontsize=9)
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    *given, picture = sys.argv[1:]
    main(given, picture)
