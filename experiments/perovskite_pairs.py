"""What one draw for a composition can be right about, where two crystals have that composition.

    python experiments/perovskite_pairs.py perov_5/train.csv.gz perov_5/val.csv.gz [-n 120]
        [--sampler crysbfn] [--steps 10] [-o pairs.json]

Of the second table the first crystals are taken of whose composition the first table, which the
sampler was trained on, holds one other crystal. One draw each, nothing redrawn: whether it matches
the crystal of the second table (the one a benchmark asks for), that of the first, both or neither,
by the tolerances of `crysdiff benchmark csp`. A sampler that has learnt what the crystals are, but
not which of the two is asked for, matches each of them for half of the compositions.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.targets import read_targets
from ase_crysdiff.metrics.base import wilson
from ase_crysdiff.metrics.matching import formula_key, rms_distance
from ase_crysdiff.storage import write_text
from pymatgen_ext import StructureSampler

NAMES = {
    (True, False): "the one that is asked for",
    (False, True): "the other one",
    (True, True): "both",
    (False, False): "neither",
}


def pairs(
    known: Sequence[Structure], asked: Sequence[Structure], count: int
) -> list[tuple[Structure, Structure]]:
    """The first crystals that are asked for, each with the only known one of its composition."""
    by_formula = defaultdict(list)
    for structure in known:
        by_formula[formula_key(structure)].append(structure)
    found = [(one, by_formula[formula_key(one)]) for one in asked]
    return [(one, others[0]) for one, others in found if len(others) == 1][:count]


def outcomes(
    sampler: StructureSampler, given: Sequence[tuple[Structure, Structure]], steps: int | None
) -> Counter[str]:
    """How often a draw matches which crystal of the pair."""
    counts = Counter[str]()
    for seed, pair in enumerate(given):
        formula = pair[0].composition.formula.replace(" ", "")
        drawn = sampler.sample(1, composition=formula, seed=seed, steps=steps, redraws=0)
        # A draw that is refused is like neither.
        asked, other = (any(rms_distance(s, one) is not None for s in drawn) for one in pair)
        counts[NAMES[asked, other]] += 1
    return counts


def main() -> None:
    """Draws, matches, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("known", type=Path)
    parser.add_argument("asked", type=Path)
    parser.add_argument("-n", type=int, default=120)
    parser.add_argument("--sampler", default="crysbfn")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("-o", type=Path, default=Path("pairs.json"))
    options = parser.parse_args()
    known, asked = (read_targets(p, None).structures for p in (options.known, options.asked))
    given = pairs(known, asked, options.n)
    counts = outcomes(StructureSampler(options.sampler), given, options.steps)
    rows = {
        name: {"share": counts[name] / len(given), "interval": wilson(counts[name], len(given))}
        for name in NAMES.values()
    }
    for name, row in rows.items():
        print(f"{name}: {row}", flush=True)
    write_text(options.o, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
