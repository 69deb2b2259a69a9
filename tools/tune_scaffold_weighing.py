"""How votes of a library and a model's probabilities of scaffolds should be weighed.

python tools/tune_scaffold_weighing.py val.safetensors --weights runs/wyckoff-export -o val.json

The file is one of `crysdiff pack --symmetry`. Every crystal is asked for by the contents of its
primitive cell, with known crystals of its formula left out. Prints the `Weighing` with the largest
likelihood of the true scaffolds, and how often these are among the first proposals: by votes alone,
by the model alone, and by both, weighed with numbers that were fitted to the other half of the
crystals. Crystals that are done are kept in the output and not computed again.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from tqdm import tqdm

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.sampling.answers import Asked
from ase_crysdiff.sampling.loading import scaffold_proposals
from ase_crysdiff.sampling.weighing import Weighing, probabilities
from ase_crysdiff.storage import write_text
from ase_crysdiff.symmetry.decisions import MAX_ELEMENTS

FITTED = ("votes", "model", "new", "far", "doubt", "sharpness")
RANKS = (1, 2, 5, 10, 20)
#: Log-probability of a scaffold that nobody proposes.
MISSED = -25.0


def evidence_of(proposals, scaffold) -> dict:
    """What is known of the composition of a true scaffold, and which proposals are right."""
    (found,) = proposals.evidence([Asked((tuple(scaffold.counts.items()),), known=False)])
    return {
        "votes": found.votes.tolist(),
        "log_model": found.log_model.tolist(),
        "right": [i for i, one in enumerate(found.scaffolds) if one == scaffold],
        "free": scaffold.free,
        "atoms": scaffold.num_atoms,
    }


def log_probability(weighing, row) -> float:
    """Of the true scaffold; where nothing that is proposed is right, of a new one."""
    votes = np.array(row["votes"])
    logs = probabilities(weighing, votes, np.array(row["log_model"]))
    if row["right"]:
        return float(np.logaddexp.reduce(logs[row["right"]]))
    new = logs[len(votes) :]
    return float(np.logaddexp.reduce(new)) if len(new) else MISSED


def fitted(rows, start: Weighing) -> Weighing:
    """The weighing of the largest likelihood."""

    def loss(numbers) -> float:
        weighing = replace(start, **dict(zip(FITTED, numbers.tolist(), strict=True)))
        return -float(np.mean([max(log_probability(weighing, row), MISSED) for row in rows]))

    first = np.array([getattr(start, name) for name in FITTED])
    found = minimize(loss, first, method="Nelder-Mead", options={"maxiter": 1200, "xatol": 1e-3})
    values = {name: round(float(x), 3) for name, x in zip(FITTED, found.x, strict=True)}
    return replace(start, **values)


def rates(rows, score) -> str:
    """Share of the crystals whose scaffold is among the first proposals."""
    ranks = []
    for row in rows:
        order = np.argsort(-score(row), kind="stable").tolist()
        ranks.append(min((order.index(i) for i in row["right"]), default=10**6))
    return "  ".join(f"{np.mean([r < k for r in ranks]):6.1%}" for k in RANKS)


def by_votes(row) -> np.ndarray:
    """Scores of the library alone."""
    new = len(row["log_model"]) - len(row["votes"])
    return np.array([*row["votes"], *[-np.inf] * new])


def by_both(weighing):
    """Scores of the library and the model."""
    return lambda row: probabilities(weighing, np.array(row["votes"]), np.array(row["log_model"]))


def main() -> None:
    """Reads the arguments, prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="held-out crystals, packed with --symmetry")
    parser.add_argument("--weights", help="folder of the model of scaffolds; default the shipped")
    parser.add_argument("--limit", type=int, help="use so many crystals only")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    packed = PackedCrystals.load_symmetric(options.data)
    assert packed.scaffolds is not None
    proposals = scaffold_proposals("wyckoff", options.weights)
    rows = json.loads(options.output.read_text()) if options.output.is_file() else {}
    order = np.random.default_rng(0).permutation(len(packed))[: options.limit]
    for index in tqdm(order.tolist(), disable=None):
        scaffold = packed.scaffolds.scaffold(index).canonical()
        if str(index) not in rows and len(scaffold.counts) <= MAX_ELEMENTS:
            rows[str(index)] = evidence_of(proposals, scaffold)
            if len(rows) % 50 == 0:
                write_text(options.output, json.dumps(rows))
    write_text(options.output, json.dumps(rows))
    found = [rows[key] for key in map(str, order.tolist()) if key in rows]
    halves = found[::2], found[1::2]
    crossed = [fitted(half, Weighing()) for half in reversed(halves)]
    print(f"{len(found)} crystals; true scaffold among the first {RANKS}")
    print("votes  ", rates(found, by_votes))
    print("model  ", rates(found, lambda row: np.array(row["log_model"])))
    pairs = zip(halves, crossed, strict=True)
    both = [rates(half, by_both(weighing)) for half, weighing in pairs]
    print("both   ", *both, sep="\n        ")
    print("new prototypes are proposed for", np.mean([not r["right"] for r in found]), "in vain")
    print(fitted(found, Weighing()))


if __name__ == "__main__":
    main()
