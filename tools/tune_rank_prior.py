"""How much the order of `prototypes` should weigh against energies: the rank prior τ.

python tools/tune_rank_prior.py mp/val.csv.gz --limit 300 --potential dao-p -o val.json

Takes the first candidates for the composition of every target, with known crystals of its formula
left out, relaxes them, and prints how often the first by E + τ p matches the target, p as in
`ase_crysdiff.relaxation.ranking`.
Targets that are done are kept in the output and not computed again.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ase_crysdiff.campaigns.benchmark.targets import read_targets
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.metrics.matching import rms_distance
from ase_crysdiff.relaxation.ranking import scores, surprise
from ase_crysdiff.storage import write_text
from pymatgen_ext import StructureSampler, relax

#: Values that are compared, eV/atom; infinity keeps the order as it is.
PRIORS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, math.inf)


def candidates_of(target, sampler, options) -> list[list[float | bool]]:
    """Energy per atom (NaN where there is none), whether it matches as drawn and relaxed, and how
    unlikely the sampler calls it.
    """
    drawn = sampler.sample(
        options.candidates, composition=target.composition, formula_units=1, known=False, seed=0
    )
    results = relax(
        list(drawn),
        options.potential,
        symmetric=True,
        release=options.release,
        progress=False,
    )
    found = []
    for before, result in zip(drawn, results, strict=True):
        sound = result.structure is not None and gate(result.structure) is None
        found.append(
            [
                result.energy / len(before) if result.energy is not None and sound else math.nan,
                rms_distance(before, target) is not None,
                bool(sound and rms_distance(result.structure, target) is not None),
                surprise(before),
            ]
        )
    return found


def rates(rows: list[list[list[float | bool]]], prior: float) -> tuple[float, float]:
    """Share of the targets whose first candidate matches: the crystal as drawn, and relaxed."""
    hits = []
    for candidates in rows:
        if not candidates:
            hits.append((False, False))
            continue
        energies = [math.inf if row[0] is None else row[0] for row in candidates]
        energies = [math.inf if math.isnan(energy) else energy for energy in energies]
        first = 0
        if not math.isinf(prior):
            order = scores(energies, [prior * row[3] for row in candidates])
            first = int(np.argmin(order))
        hits.append(tuple(candidates[first][1:3]))
    drawn, relaxed = np.mean(np.array(hits, float), 0)
    return float(drawn), float(relaxed)


def main() -> None:
    """Relaxes, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", type=Path)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--potential", default="dao-p")
    parser.add_argument("--release", type=float, help="also relax without symmetry, see relax")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    targets = read_targets(options.targets, options.limit)
    sampler = StructureSampler("prototypes")
    done = json.loads(options.output.read_text()) if options.output.exists() else {}
    pairs = list(zip(targets.names, targets.structures, strict=True))
    for number, (name, target) in enumerate(tqdm(pairs, unit=" targets"), start=1):
        if name in done:
            continue
        try:
            done[name] = candidates_of(target, sampler, options)
        except Exception as error:  # one target costs only itself
            print(f"{name}: {error}")
            done[name] = []
        if number % 20 == 0 or number == len(pairs):
            write_text(options.output, json.dumps(done))
    rows = [done[name] for name in targets.names]
    reach = np.mean([any(row[2] for row in candidates) for candidates in rows])
    print(f"{len(rows)} targets, any of {options.candidates}: {100 * reach:.1f} %")
    for prior in PRIORS:
        drawn, relaxed = rates(rows, prior)
        print(f"  τ = {prior:<5} as drawn {100 * drawn:5.1f} %   relaxed {100 * relaxed:5.1f} %")


if __name__ == "__main__":
    main()
