"""What is left of a space group when nothing holds it to the end: crystals on given sites whose
projection stops on the way.

    python experiments/released_symmetry.py val.csv.gz [-n 200] [--sampler dao-g-flow]
        [--release 0 0.1 0.3 1] [--seed 0] [--device cpu] [-o released.json]

Of the first crystals of the table with at most 20 atoms and a space group above P-1 the space
group, the sites and the elements are given. The state is projected until the time of the release
(0: to the end, which is what `space_group=` does; 1: the first state alone), the network is free
from there on. Prints the share of first draws whose space group at 0.1 Å and at 0.01 Å is the one
that was given; what has more symmetry counts as a miss, nothing is redrawn.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.targets import read_targets
from ase_crysdiff.conditions.base import Context, Denoise
from ase_crysdiff.conditions.space_group import SymmetricAs
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.base import wilson
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction, StreamFor
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.sampling.model_sampler import ModelSampler
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sites import Sites
from ase_crysdiff.sampling.tasks.base import Held
from ase_crysdiff.storage import write_text
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.scaffold import Scaffold

MOST_ATOMS, TRICLINIC = 20, 2
TOLERANCES = (0.1, 0.01)
BATCH = 50


class Released(SymmetricAs):
    """A projection that stops at a time."""

    def __init__(self, held: SymmetricAs, release: float) -> None:
        self.held, self.release = held, release

    def start(self, state: NoisyState, joint: JointProcess, layout: Layout) -> NoisyState:
        return self.held.start(state, joint, layout)

    def project(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout, rng: StreamFor
    ) -> NoisyState:
        return self.held.project(state, s, joint, layout, rng) if s >= self.release else state

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        symmetric = self.held.wrap(denoise, joint, layout)

        def until(state: NoisyState, t: float, context: Context) -> Prediction:
            return (symmetric if t > self.release else denoise)(state, t, context)

        return until


class ReleasingSampler(ModelSampler):
    """Holds crystals on their sites until a time."""

    release: float = 0.0

    def _held(self, *given: Any) -> Held:
        held = super()._held(*given)
        return replace(held, symmetry=Released(held.symmetry, self.release))


def given_scaffolds(file: Path, count: int) -> list[Scaffold]:
    """Those of the first crystals that have symmetry."""
    found: list[Scaffold] = []
    for structure in read_targets(file, 3 * count).structures:
        if len(found) == count:
            break
        try:
            scaffold = find_symmetric(structure).scaffold
        except InputError:
            continue
        if scaffold.group > TRICLINIC and scaffold.num_atoms <= MOST_ATOMS:
            found.append(scaffold)
    return found


def draws(
    sampler: ReleasingSampler, scaffolds: list[Scaffold], seed: int, steps: int | None = None
) -> list[Structure]:
    """The first draw on each scaffold."""
    found: list[Structure] = []
    for first in range(0, len(scaffolds), BATCH):
        places = range(first, min(first + BATCH, len(scaffolds)))
        sites = Sites([scaffolds[i] for i in places])
        streams = Streams(seed, tuple(places))
        found += to_structures(
            sampler.sample_on(sites, SampleRequest(steps=steps), streams).crystals
        )
    return found


def group_of(structure: Structure, symprec: float) -> int:
    """Number of the space group; 0 where there is none."""
    try:
        return find_symmetric(structure, symprec).scaffold.group
    except InputError:
        return 0


def main() -> None:
    """Draws, looks at the symmetry, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", type=Path)
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--sampler", default="dao-g-flow")
    parser.add_argument("--release", type=float, nargs="+", default=[0.0, 0.1, 0.3, 1.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", type=Path, default=Path("released.json"))
    options = parser.parse_args()
    scaffolds, rows = given_scaffolds(options.targets, options.n), {}
    loaded = load_sampler(options.sampler, None, options.device)
    sampler = ReleasingSampler(loaded.model, loaded.card, loaded.device)
    for release in options.release:
        sampler.release, row = release, {}
        structures = draws(sampler, scaffolds, options.seed)
        for symprec in TOLERANCES:
            same = sum(
                group_of(one, symprec) == scaffold.group
                for one, scaffold in zip(structures, scaffolds, strict=True)
            )
            row[f"{symprec} Å"] = {
                "share": same / len(scaffolds),
                "interval": wilson(same, len(scaffolds)),
            }
        rows[str(release)] = row
        print(f"held until t = {release:g}: {row}", flush=True)
    write_text(options.o, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
