"""The first draws of a sampler, relaxed, with formula, space group and height above the hull.

python examples/draw_first_draws.py wyckoff picture.png
"""

import sys

from ase_crysdiff.pictures.columns import caption
from ase_crysdiff.pictures.grid import Picture, draw_crystal
from ase_crysdiff.pictures.scene import Scene
from ase_crysdiff.symmetry.refinement import conventional
from pymatgen_ext import StructureSampler, energy_above_hull, relax


def main(sampler: str, target: str, rows: int = 2, columns: int = 8) -> None:
    """Draws as many as fit, none chosen."""
    samples = StructureSampler(sampler).sample(rows * columns, redraws=0, seed=0)
    structures = relax(samples).structures
    found = energy_above_hull(structures)
    figure = Picture(figsize=(1.7 * columns, 2.3 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.set_axis_off()
    for i, (axis, structure) in enumerate(zip(axes, structures, strict=False)):
        draw_crystal(axis, Scene.of(conventional(structure)))
        bound = "" if found.is_listed[i] else "≥ "
        height = f"{bound}{round(found.energy_above_hull[i], 2) + 0.0:.2f} eV/atom"
        axis.set_title("\n".join([*caption(structure)[:2], height]), fontsize=9, y=-0.02, va="top")
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    main(*sys.argv[1:])
