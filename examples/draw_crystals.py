"""Draws the crystals of folders of CIF files into one picture, one block of panels for each folder.

A set that was drawn in Python draws itself: `samples.plot().savefig("picture.png")`.

python examples/draw_crystals.py crystals picture.png
python examples/draw_crystals.py drawn relaxed known picture.png
"""

import sys
from pathlib import Path

from pymatgen.core import Structure

from ase_crysdiff.pictures.columns import caption
from ase_crysdiff.pictures.grid import Picture, draw_crystal
from ase_crysdiff.pictures.scene import Scene


def main(folders: list[str], target: str, columns: int = 8) -> None:
    """One panel per CIF file, with the formula and the space group below it."""
    blocks = [sorted(Path(folder).glob("*.cif")) for folder in folders]
    heights = [-(-len(files) // columns) for files in blocks]
    figure = Picture(figsize=(1.7 * columns, 2.1 * sum(heights)), layout="constrained")
    parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False).flat
    for part, folder, files, height in zip(parts, folders, blocks, heights, strict=True):
        if len(folders) > 1:
            part.suptitle(Path(folder).name, fontsize=13)
        axes = part.subplots(height, columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, file in zip(axes.flat, files, strict=False):
            structure = Structure.from_file(file)
            draw_crystal(axis, Scene.of(structure))
            axis.set_title("\n".join(caption(structure)), fontsize=9, y=-0.02, va="top")
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    *given, picture = sys.argv[1:]
    main(given, picture)
