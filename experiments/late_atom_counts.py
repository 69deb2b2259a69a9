"""MiAD's own mechanism, looked at: how late on the way a crystal's number of atoms is still found,
and whether crystals whose number changes late are better ones.

    python experiments/late_atom_counts.py [--weights miad] [-n 300] [--seed 7] [--hull hull.csv.gz]
        [--reference packed.safetensors] [-o late.json]

Crystals are drawn from noise, first draws, nothing redrawn. At every step the number of atoms is
that of the clean estimate: rows whose likeliest class is an element. A crystal changes late at a
time t if that number at t is not the final one. Prints the share of crystals that change later than
a few times, and stability, S.U.N. and M.S.U.N. by number of atoms and by how late it was found.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pymatgen.core import Structure

from ase_crysdiff.conditions.base import Condition, Denoise
from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.metrics.base import wilson
from ase_crysdiff.networks.base import Context
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction
from ase_crysdiff.randomness import Streams
from ase_crysdiff.storage import write_text
from pymatgen_ext import StructureSampler, evaluate

#: Times at which the number of atoms is compared with the final one; 1 is noise, 0 the crystal.
TIMES = (0.75, 0.5, 0.25, 0.1)
#: Largest number of atoms of each bin.
SIZES = (4, 8, 12, 20)
_BATCH = 50
SCORES = ("stability", "metastability", "sun", "msun")


class Watch(Condition):
    """Notes how many rows are taken for atoms at every step, and changes nothing."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, list[int]]] = []

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        process = joint.components["species"]

        def watching(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            clean = joint.clean("species", state, prediction, t, layout)
            species = process.representation.decode(clean.argmax(-1))
            atoms = (species != VACANCY).to(torch.int64)
            counts = torch.zeros(layout.num_crystals, dtype=torch.int64)
            counts.index_add_(0, layout.batch_index.cpu(), atoms.cpu())
            self.seen.append((t, counts.tolist()))
            return prediction

        return watching


def draw(
    sampler: StructureSampler, n: int, seed: int
) -> tuple[list[Structure | None], list[dict[float, int]]]:
    """First draws, and for each the number of atoms by time."""
    structures: list[Structure | None] = []
    courses: list[dict[float, int]] = []
    for first in range(0, n, _BATCH):
        watch = Watch()
        request, _ = sampler.request(prototype=False, conditions=[watch])
        indices = tuple(range(first, min(n, first + _BATCH)))
        streams = Streams(seed=seed, indices=indices)
        sizes = request.task.contents(sampler.sampler.subject, streams).sizes
        crystals = sampler.sampler.sample(request, streams).crystals
        # Crystals are drawn in the order of their size.
        order = sorted(range(len(indices)), key=lambda i: sizes[i])
        place = {crystal: k for k, crystal in enumerate(order)}
        for i in range(len(indices)):
            atoms = int(crystals.num_atoms[i])
            structures.append(to_structures(crystals.select([i]))[0] if atoms else None)
            courses.append({t: counts[place[i]] for t, counts in watch.seen} | {0.0: atoms})
    return structures, courses


def changes_after(course: Mapping[float, int], time: float) -> bool:
    """Whether the number of atoms at a time, or at any time after it, is not the final one."""
    return any(count != course[0.0] for t, count in course.items() if t <= time)


def rate(hits: Sequence[bool]) -> str:
    """A share with its 95 % interval."""
    if not hits:
        return "-"
    low, high = wilson(sum(hits), len(hits))
    return f"{100 * sum(hits) / len(hits):.1f} % ({100 * low:.1f}-{100 * high:.1f})"


def rows(courses: Sequence[Mapping[float, int]], scores: Mapping[str, Any]) -> dict[str, Any]:
    """The table: groups of crystals with their size and the rate of each score."""
    late = {t: [changes_after(c, t) for c in courses] for t in TIMES}
    bounds = list(zip((0, *SIZES), SIZES, strict=False))
    groups = {
        "all": [True] * len(courses),
        **{f"{a + 1}-{b} atoms": [a < c[0.0] <= b for c in courses] for a, b in bounds},
        **{f"changing after t = {t}": late[t] for t in TIMES},
        **{f"settled at t = {t}": [not x for x in late[t]] for t in TIMES},
    }
    return {
        name: {
            "crystals": len(chosen),
            **{
                score: rate([bool(scores[score].per_structure[i]) for i in chosen])
                for score in SCORES
            },
        }
        for name, members in groups.items()
        for chosen in [[i for i, member in enumerate(members) if member]]
    }


def main() -> None:
    """Draws, judges, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", help="a folder of weights of miad (default: the shipped ones)")
    parser.add_argument("-n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--hull", default="shipped")
    parser.add_argument("--reference", default="shipped")
    parser.add_argument("--potential", default="dao-p")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    structures, courses = draw(StructureSampler("miad", options.weights), options.n, options.seed)
    scores = evaluate(
        structures,
        reference=options.reference,
        hull=options.hull,
        potential=options.potential,
    )
    table = rows(courses, scores)
    for name, row in table.items():
        print(f"{name:24s}" + "  ".join(f"{key} {value}" for key, value in row.items()))
    if options.output:
        write_text(options.output, json.dumps({"rows": table, "courses": courses}, indent=1))


if __name__ == "__main__":
    main()
