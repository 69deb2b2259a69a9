"""How often templates of each space group should come, so that new crystals of `wyckoff` have the
space groups of known ones.

python tools/tune_space_groups.py train.safetensors -n 2000 --seed 11 -o groups.json

The file is one of `crysdiff pack --symmetry`. Draws templates as they come and what is proposed for
their contents, then fits the odds by which the templates of each space group are to come more or
less often (maximum likelihood of the known crystals' groups, stopped early). Prints them as JSON:
`template_odds` of the card's config. Draws that are done are kept in the output.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.metrics.space_groups import jensen_shannon
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.answers import Asked
from ase_crysdiff.sampling.loading import wyckoff
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.storage import write_text
from ase_crysdiff.symmetry.decisions import MAX_ELEMENTS

#: Share that is added to that of every group, so that rare ones are not multiplied by chance.
ADDED = 5e-4
#: Steps of expectation and maximisation, each half of the way.
STEPS = 4
#: Draws of a group from which on its own step counts for more than half.
TRUSTED = 10
LEAST, MOST = 0.25, 4.0


def drawn(sampler, seed: int, index: int) -> dict | None:
    """The group of a template, and how probable each group of its contents is then."""
    found = sampler.known.templates.crystals(SampleRequest(), Streams(seed, (index,)))[0]
    if isinstance(found, str):
        return None
    counts, group = found.scaffold.counts, found.scaffold.group
    if len(counts) > MAX_ELEMENTS:
        return {"template": group, "groups": [group], "shares": [1.0]}
    proposals = sampler.proposals.ranked(Asked((tuple(counts.items()),), known=False))
    logs = np.array([p.log_probability + sampler.curiosity * p.new for p in proposals])
    weights = np.exp((logs - logs.max()) / sampler.temperature)
    sums = np.bincount([p.scaffold.group for p in proposals], weights / weights.sum(), 231)
    groups = np.nonzero(sums)[0]
    return {"template": group, "groups": groups.tolist(), "shares": sums[groups].tolist()}


def fitted(rows, known: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Odds of the templates of each group.

    Args:
        rows: Draws with templates as they come.
        known: Share of each group among known crystals.
        own: Share of each group among the templates as they come.
    """
    becomes = np.zeros((231, 231))
    for row in rows:
        becomes[row["template"], row["groups"]] += row["shares"]
    draws = becomes.sum(1)
    odds = (known + ADDED) / (own + ADDED)
    for _ in range(STEPS):
        now = odds @ becomes
        ratio = np.divide(known, now / now.sum(), out=np.ones(231), where=now > 0)
        step = np.divide(becomes @ ratio, draws, out=np.ones(231), where=draws > 0)
        odds *= np.where(step > 0, step, 1.0) ** (0.5 * draws / (draws + TRUSTED))
    now = odds @ becomes
    print("distance of the fitted draws to known crystals", jensen_shannon(now, known))
    print("of draws as they come", jensen_shannon(becomes.sum(0), known))
    return np.clip(odds / odds[own > 0].mean(), LEAST, MOST)


def main() -> None:
    """Reads the arguments, prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path, help="known crystals, packed with --symmetry")
    parser.add_argument("-n", type=int, default=2000, help="draws")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    packed = PackedCrystals.load_symmetric(options.data)
    assert packed.scaffolds is not None
    sampler = wyckoff()
    templates = sampler.known.templates
    templates.odds[:] = 1.0
    rows = json.loads(options.output.read_text()) if options.output.is_file() else []
    for index in tqdm(range(len(rows), options.n), disable=None):
        rows.append(drawn(sampler, options.seed, index))
        if len(rows) % 50 == 0:
            write_text(options.output, json.dumps(rows))
    write_text(options.output, json.dumps(rows))
    known = np.bincount(packed.scaffolds.group.numpy(), minlength=231)
    sums = templates.sums(SampleRequest().task, None, None)
    weights = np.diff(sums, prepend=0)
    own = np.bincount(templates.library.group, weights, minlength=231)
    odds = fitted([row for row in rows if row], known / known.sum(), own / own.sum())
    print(json.dumps({n: round(float(odds[n]), 3) for n in range(1, 231) if own[n] > 0}))


if __name__ == "__main__":
    main()
