"""Fits the table of `ase_crysdiff.crystal.volume` to packed crystals, and measures it on others.

python tools/build_volumes.py train.safetensors val.safetensors
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from pymatgen.core import Element

from ase_crysdiff.crystal.volume import electronegativity_spread
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.geometry.lattice import volume

OUTPUT = Path(__file__).parents[1] / "ase_crysdiff" / "resources" / "volumes.json"
#: Crystals that an element must occur in.
LEAST = 5
#: Where no value is tabulated (He, Ne, Ar, some actinides).
NEUTRAL = 1.5
ELEMENTS = 100


def electronegativity(number: int) -> float:
    """Pauling's, or a middling one."""
    value = float(Element.from_Z(number).X)
    return value if math.isfinite(value) else NEUTRAL


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features (crystals, 200) and logarithms of the volume per atom."""
    batch = PackedCrystals.load(path).batch
    counts = batch.num_atoms.numpy()
    owner = np.repeat(np.arange(len(counts)), counts)
    shares = np.zeros((len(counts), ELEMENTS))
    np.add.at(shares, (owner, batch.species.numpy()), 1 / counts[owner])
    values = np.array([0.0, *(electronegativity(z) for z in range(1, ELEMENTS))])
    spread = np.array(
        [
            electronegativity_spread([(row[z], values[z]) for z in np.flatnonzero(row)])
            for row in shares
        ]
    )
    return np.hstack([shares, shares * spread[:, None]]), np.log(
        volume(batch.lattice).numpy() / counts
    )


def fit(
    features: np.ndarray, target: np.ndarray, ridge: float = 0.1, rounds: int = 30
) -> np.ndarray:
    """Least absolute deviations by reweighting; elements that hardly occur stay near 20 Å³ per
    atom.
    """
    prior = np.concatenate([np.full(ELEMENTS, math.log(20)), np.zeros(ELEMENTS)])
    found = prior
    for _ in range(rounds):
        weighted = features / np.maximum(np.abs(features @ found - target), 0.02)[:, None]
        found = np.linalg.solve(
            weighted.T @ features + ridge * np.eye(len(prior)), weighted.T @ target + ridge * prior
        )
    return found


def main() -> None:
    """Fits, writes, measures."""
    features, target = read(Path(sys.argv[1]))
    found = fit(features, target)
    seen = (features[:, :ELEMENTS] > 0).sum(0)
    rows = {
        chemical_symbols[z]: [
            electronegativity(z),
            round(found[z], 4),
            round(found[ELEMENTS + z], 4),
        ]
        for z in range(1, ELEMENTS)
        if seen[z] >= LEAST
    }
    OUTPUT.write_text(
        "{\n" + ",\n".join(f"{json.dumps(s)}: {json.dumps(r)}" for s, r in rows.items()) + "\n}\n"
    )
    other, truth = read(Path(sys.argv[2]))
    error = np.abs(np.exp(other @ found - truth) - 1)
    print(
        f"{len(rows)} elements, {OUTPUT.stat().st_size} bytes; {len(truth)} crystals: relative "
        "error median "
        f"{np.median(error):.4f}, mean {error.mean():.4f}, 90 % {np.percentile(error, 90):.4f}"
    )


if __name__ == "__main__":
    main()
