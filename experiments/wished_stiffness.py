"""Whether crystals that were wished stiff are: the bulk modulus of first draws by a potential,
which has not helped to choose them.

    python experiments/wished_stiffness.py [wyckoff] [-n 200] [--least 200] [--seed 0]
        [--potential chgnet] [--populations 0 8] [-o stiffness.json]

Draws are steered by the predictor `bulk-modulus`. It reads what `dao-p` says of strains, so that
`dao-p` is no judge of it; the figures on the page are of an earlier predictor, which did not, and
were judged by `dao-p`. A population of 0 is free draws. Each draw is relaxed, then at 2 % more and
2 % less volume the atoms alone; the modulus is K = -V dP/dV by central difference, with pressures
from the potential's stress. Nothing is redrawn: a draw that fails is not stiff. Prints the share of
stiff ones, and the median of all.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from ase.units import GPa
from pymatgen.core import Structure

from ase_crysdiff.metrics.base import wilson
from ase_crysdiff.storage import write_text
from pymatgen_ext import PropertySteering, StructureSampler, relax

#: Relative change of the volume, to either side.
STRAIN = 0.02


def bulk_moduli(structures: list[Structure], potential: str) -> np.ndarray:
    """GPa, NaN where a crystal does not come to rest in all three cells."""
    found = np.full(len(structures), np.nan)
    rest = relax(structures, potential, fmax=0.02, progress=False)
    sound = [i for i, one in enumerate(rest) if one.converged]
    ends = []
    for change in (-STRAIN, STRAIN):
        cells = [rest[i].structure.copy() for i in sound]
        for cell in cells:
            cell.scale_lattice(cell.volume * (1 + change))
        ends.append(relax(cells, potential, fmax=0.02, relax_cell=False, progress=False))
    for i, small, large in zip(sound, *ends, strict=True):
        if small.converged and large.converged:
            pressures = [-np.trace(one.stress) / 3 / GPa for one in (small, large)]
            found[i] = (pressures[0] - pressures[1]) / (2 * STRAIN)
    return found


def main() -> None:
    """Draws, squeezes, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sampler", nargs="?", default="wyckoff")
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--least", type=float, default=200.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--potential", default="chgnet")
    parser.add_argument("--populations", type=int, nargs="+", default=[0, 8])
    parser.add_argument("-o", type=Path, default=Path("stiffness.json"))
    options = parser.parse_args()
    sampler, rows = StructureSampler(options.sampler), {}
    for population in options.populations:
        window = (options.least, None)
        steering = population and [PropertySteering("bulk-modulus", window, population)]
        drawn = sampler.sample(
            options.n, conditions=steering or (), seed=options.seed, redraws=0, progress=False
        )
        moduli = bulk_moduli(list(drawn), options.potential)
        stiff = int((moduli >= options.least).sum())
        rows[population] = {
            "stiff": stiff / options.n,
            "interval": wilson(stiff, options.n),
            "median, GPa": float(np.nanmedian(moduli)),
            "unknown": options.n - int(np.isfinite(moduli).sum()),
        }
        print(f"{population} candidates: {rows[population]}", flush=True)
    write_text(options.o, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
