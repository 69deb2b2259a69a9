"""Whether molecules have the property that was wished: the mean distance between wish and outcome,
by a judge that learnt from labels which the sampler has not seen.

    python experiments/wished_molecules.py judge qm9_train.npz qm9_val.npz [--minutes 10]
        -o judge.safetensors
    python experiments/wished_molecules.py measure judge.safetensors qm9_test.npz -o wishes.json
        [-n 100] [--draws 5] [--property gap] [--guidance 1] [--steps 50] [--seed 0]

The judge learns from the odd rows of the training archive, the shipped sampler from the labels of
the even ones. It reads places and elements of all atoms, and finds by itself which hydrogen is on
which heavy atom. Wishes are labels of the test archive, some molecules each; nothing is redrawn.
Beside the wished ones stand the bounds of the protocol: labels of other molecules (random), and the
judge on the true molecules (floor).

Protocol: Hoogeboom et al. 2022 (EDM), section 5.2.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Molecule
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.molecule_bonds import stable_atoms
from ase_crysdiff.crystal.molecule_space import MoleculeSpace
from ase_crysdiff.crystal.molecules import atoms_of_molecule
from ase_crysdiff.data.buckets import BucketedCrystals
from ase_crysdiff.data.molecules import grouped, read_archive
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.networks.molecules.base import MoleculeInput
from ase_crysdiff.networks.molecules.egnn import EGNN
from ase_crysdiff.networks.molecules.groups import Groups
from ase_crysdiff.storage import write_text
from pymatgen_ext import MoleculeSampler

#: Length of which the judge's places are multiples, Å.
UNIT = 1.5


class Judge(nn.Module):
    """Properties of molecules: the mean over atoms of what a network of all pairs makes of them."""

    def __init__(self, names: list[str], mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.names = names
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.encoder = EGNN(hidden=128, layers=4, pair=48, arrows=8, unit=UNIT)
        self.species = nn.Embedding(10, 128)
        self.read = nn.Sequential(nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, len(names)))

    def forward(self, batch: CrystalBatch) -> Tensor:
        """In units of the training labels' standard deviation, shape (molecules, properties)."""
        size = int(batch.num_atoms[0])
        species = batch.species.view(-1, size)
        places = batch.frac_coords.view(-1, size, 3) / UNIT
        still = torch.zeros(len(species), 1, 1)
        groups = Groups.of(species)
        nodes = self.encoder(MoleculeInput(self.species(species), places, places, still, groups))[0]
        return self.read(nodes.mean(1))

    @torch.no_grad()
    def of(self, batch: CrystalBatch) -> np.ndarray:
        """In the units of the labels."""
        found = np.zeros((len(batch), len(self.names)))
        for rows, part in _batches(batch, 256):
            found[rows] = (self(part) * self.scale + self.mean).numpy()
        return found


def _batches(batch: CrystalBatch, count: int) -> Iterator[tuple[np.ndarray, CrystalBatch]]:
    """Equally large molecules together, and which they are."""
    data = PackedCrystals(batch, {}, {})
    buckets = BucketedCrystals(data, MoleculeSpace(29), count, 10**9, torch.device("cpu"))
    for bucket, rows in buckets.in_order():
        yield bucket.members[rows].numpy(), bucket.batch(rows)


def train(options: argparse.Namespace) -> None:
    """Learns for so many minutes of the processor."""
    data, held_out = read_archive(options.training), read_archive(options.validation)
    odd = torch.arange(len(data)) % 2 == 1
    data = data.select(odd)
    labels = torch.stack([data.values[n] for n in options.properties], -1)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(options.seed)
        judge = Judge(options.properties, labels.mean(0), labels.std(0))
    labels = (labels - judge.mean) / judge.scale
    rest = torch.stack([held_out.values[n] for n in options.properties], -1).numpy()
    buckets = BucketedCrystals(data, MoleculeSpace(29), 32, 10**9, torch.device("cpu"))
    optimiser = torch.optim.AdamW(judge.parameters(), 1e-3, weight_decay=1e-4)
    mean = torch.optim.swa_utils.AveragedModel(
        judge, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    begin, epoch, step = time.process_time(), 0, 0
    while (spent := (time.process_time() - begin) / 60 / options.minutes) < 1:
        for bucket, rows in buckets.plan(options.seed, epoch):
            spent = (time.process_time() - begin) / 60 / options.minutes
            for group in optimiser.param_groups:
                group["lr"] = 2e-3 * min(1.0, (step + 1) / 200, max(0.0, 2 * (1 - spent)))
            told = judge(bucket.batch(rows))
            loss = functional.smooth_l1_loss(told, labels[bucket.members[rows]], beta=0.1)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
            optimiser.step()
            mean.update_parameters(judge)
            step += 1
            if spent >= 1:
                break
        epoch += 1
        error = np.abs(mean.module.of(held_out.batch) - rest).mean(0)
        print(f"epoch {epoch}, {spent:.0%}: {error} of {options.properties}", flush=True)
    state = {name: one.contiguous() for name, one in mean.module.state_dict().items()}
    save_file(state, options.o, {"properties": " ".join(options.properties)})


def load(path: Path) -> Judge:
    """A judge that `train` has made."""
    with safe_open(path, "pt") as file:
        names = file.metadata()["properties"].split()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    judge = Judge(names, state["mean"], state["scale"])
    judge.load_state_dict(state)
    return judge


def measure(options: argparse.Namespace) -> None:
    """Draws a molecule for each wish, and asks the judge."""
    judge, data = load(options.judge), read_archive(options.targets)
    column = judge.names.index(options.property)
    labels = data.values[options.property].double().numpy()
    order = np.random.default_rng(options.seed).permutation(len(labels))
    wishes = labels[order[: options.n]]
    rows = {
        "random": _distance(np.random.default_rng(0).permutation(labels)[:, None], labels),
        "floor": _distance(judge.of(data.batch)[:, column, None], labels),
    }
    sampler = MoleculeSampler(options.sampler, options.weights)
    for weight in options.guidance:
        made = []
        for number, wish in enumerate(wishes):
            request = sampler.request(
                properties={options.property: float(wish)},
                guidance_weight=weight,
                steps=options.steps,
            )
            indices = range(number * options.draws, (number + 1) * options.draws)
            drawn = sampler.collect(request, indices, seed=options.seed, redraws=0, progress=False)
            made.append(list(drawn))
        rows[f"weight {weight:g}"] = _scores(judge, made, wishes, column)
        print(f"weight {weight:g}: {rows[f'weight {weight:g}']}", flush=True)
    content = {
        "property": options.property,
        "wishes": options.n,
        "draws": options.draws,
        "results": rows,
    }
    write_text(options.o, json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


def _scores(
    judge: Judge, made: list[list[Molecule]], wishes: np.ndarray, column: int
) -> dict[str, float]:
    """Of all molecules that can be judged, and of the stable ones; NaN where there is none."""
    atoms = [atoms_of_molecule(one) for own in made for one in own]
    batch, kept = grouped(iter(atoms))
    shape = len(made), max(map(len, made))
    places = np.array([(k, i) for k, own in enumerate(made) for i in range(len(own))])[kept]
    found, stable = np.full(shape, np.nan), np.zeros(shape, bool)
    found[tuple(places.T)] = judge.of(batch)[:, column]
    stable[tuple(places.T)] = [stable_atoms(*atoms[k]).all() for k in kept]
    return {
        **_distance(found, wishes),
        "judged": len(kept) / found.size,
        "molecules stable": float(stable.mean()),
        "of stable ones": _distance(np.where(stable, found, np.nan), wishes)["mean distance"],
    }


def _distance(found: np.ndarray, wishes: np.ndarray) -> dict[str, float]:
    """The mean over all molecules, and its standard error by wish.

    Args:
        found: Shape (wishes, draws); NaN where there is nothing to judge.
        wishes: Shape (wishes,).
    """
    distance = np.abs(found - wishes[:, None])
    distance = distance[np.isfinite(distance).any(1)]
    error = float(np.nanmean(distance, 1).std() / len(distance) ** 0.5)
    return {"mean distance": float(np.nanmean(distance)), "standard error": error}


def main() -> None:
    """Trains a judge, or asks it."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    judge = commands.add_parser("judge")
    judge.add_argument("training", type=Path)
    judge.add_argument("validation", type=Path)
    judge.add_argument("--properties", nargs="+", default=["gap", "dipole"])
    judge.add_argument("--minutes", type=float, default=10.0)
    judge.set_defaults(run=train)
    ask = commands.add_parser("measure")
    ask.add_argument("judge", type=Path)
    ask.add_argument("targets", type=Path)
    ask.add_argument("--sampler", default="geobfn")
    ask.add_argument("--weights", type=Path)
    ask.add_argument("-n", type=int, default=100)
    ask.add_argument("--draws", type=int, default=5)
    ask.add_argument("--property", default="gap")
    ask.add_argument("--guidance", type=float, nargs="+", default=[1.0])
    ask.add_argument("--steps", type=int, default=None)
    ask.set_defaults(run=measure)
    for command in (judge, ask):
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("-o", type=Path, required=True)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
