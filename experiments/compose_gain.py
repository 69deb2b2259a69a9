"""What composing modules gains over the encoder alone and over the best module, on the published
partitions.

    python experiments/compose_gain.py --tasks poisson_ratio phonon_peak --partitions 0 1

Every arm begins with the same frozen encoder and is given the same rows. Network: a module and
four heads, fine-tuned from nothing (`none`), from the module that is best alone (`best`), from the
composition. Kernel: a regression on the features of the same three, width and ridge chosen by the
validation rows. Mean: of network and kernel, with weights by the validation rows. A task's own
module takes no part. Errors are mean absolute ones after the published transform.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric

from ase_crysdiff.crystal.reduction import batch_of, reduced_cell
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import Split
from ase_crysdiff.data.target_scale import TargetScale
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.networks.encoders.crysformer.modular import ModularCrysformer
from ase_crysdiff.networks.property_network import PropertyNetwork
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.predictors.averaging import best_weights
from ase_crysdiff.predictors.heads.kernel import RIDGES, decompositions
from ase_crysdiff.predictors.heads.squash import Squash
from ase_crysdiff.predictors.modules.beginning import with_module
from ase_crysdiff.predictors.modules.composing import settings_for
from ase_crysdiff.predictors.modules.composition import composition_of, merged
from ase_crysdiff.predictors.modules.features import module_features, trunk
from ase_crysdiff.predictors.modules.hub import Hub, load_hub
from ase_crysdiff.predictors.modules.training import WIDTH, fresh
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.tasks import task
from ase_crysdiff.training.described_crystals import DescribedCrystals, described
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.regression import task_on
from ase_crysdiff.training.settings import TrainSettings

#: What is learned where values spread over decades; errors are those of the task.
TRANSFORMS = {
    "poly_electronic": "log",
    "dielectric_2d": "log",
    "exfoliation_energy_2d": "log",
    "elastic_anisotropy": "log1p",
}
WIDTHS = (0.1, 0.3, 1.0)


def crystals_of(name: str) -> tuple[LabelledCrystals, list[tuple[str, ...]]]:
    """The table of a task, and the part of every row in every partition."""
    table = task(name).table(progress=False)
    cells = [reduced_cell(structure) for structure in table.structures]
    names = tuple(f"{label}#{row}" for row, label in enumerate(table.names))
    values = torch.from_numpy(table.values)
    return LabelledCrystals(names, batch_of(cells), values), list(table.parts)


def network_answers(
    bottleneck: Mapping[str, Tensor],
    hub: Hub,
    data: LabelledCrystals,
    plain: Tensor,
    split: Split,
    transform: str | None,
    seed: int,
) -> np.ndarray:
    """Answers of a fine-tuned module and its heads for all rows, after the transform."""
    initial = with_module(hub.base, hub.standard, bottleneck)
    settings = settings_for(transform, seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = make_backbone(initial.backbone)
        weight_files.fill(backbone, initial.tensors, Path("the encoder"))
        network = PropertyNetwork(backbone, settings.members)
    assert isinstance(backbone, ModularCrysformer)
    backbone.freeze_trunk()
    atoms = (plain - backbone.shift) / backbone.scale
    owner = torch.arange(len(data)).repeat_interleave(data.crystals.num_atoms)
    scale = TargetScale.of(data.values[list(split.train)], transform)

    def batches(rows: tuple[int, ...], size: int) -> DescribedCrystals:
        part = data.select(rows)
        chosen = torch.cat([torch.nonzero(owner == row).flatten() for row in rows])
        return DescribedCrystals(
            part.crystals, atoms[chosen], size, torch.device("cpu"), part.values
        )

    epoch = -(-len(split.train) // settings.batch_size)
    course = TrainSettings(
        steps=settings.epochs * epoch,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup=2 * epoch,
        cooldown=0.5,
        weight_decay=settings.weight_decay,
        clip_norm=10.0,
        ema_decay=0.99,
        seed=seed,
        validate_every=epoch,
        checkpoint_every=settings.epochs * epoch,
        log_every=epoch,
    )
    config = {"scale": scale.as_dict(), "loss": settings.loss}
    learning = task_on(
        network,
        config,
        batches(split.train, settings.batch_size),
        batches(split.validation, 256),
        {"data": data.digest},
        seed,
        len(split.train),
        settings.patience * epoch,
    )
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(learning, Path(folder), course, Fabric(accelerator="cpu", devices=1))
        loop.run(progress=False)
        kept = loop.best_weights()
    network.load_state_dict(kept, strict=False)
    everything = batches(tuple(range(len(data))), 256)
    found = torch.zeros(len(data))
    with torch.no_grad():
        for batch in everything.everything():
            found[batch.rows] = network(batch.graph).mean(-1).float()
    return (found * scale.std + scale.mean).numpy().astype(np.float64)


def kernel_answers(features: np.ndarray, learned: np.ndarray, split: Split) -> np.ndarray:
    """Answers of a kernel regression for all rows, after the transform."""
    train, validation = list(split.train), list(split.validation)
    best = None
    squash = Squash.of(learned[train], False)
    wanted = squash.forward(learned[train])
    for basis in decompositions(features[train], [features.shape[1]], WIDTHS):
        for ridge in RIDGES:
            kernel = basis.solved(wanted, ridge)
            said = squash.inverse(kernel.predict(features[validation]))
            error = float(np.abs(said - learned[validation]).mean())
            if best is None or error < best[0]:
                best = error, kernel
    assert best is not None
    return squash.inverse(best[1].predict(features))


def measured(name: str, hub: Hub, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Errors of all arms on the partitions of a task."""
    data, parts = crystals_of(name)
    transform, published = TRANSFORMS.get(name, task(name).transform), task(name).transform
    learned = transform_of(transform).forward(data.values).numpy()
    encoder, _ = trunk(hub.base["name"], hub.base["sha256"])
    plain = described(encoder, data.crystals)
    counts, found = data.crystals.num_atoms, []

    def error(said: np.ndarray, rows: list[int]) -> float:
        forward, back = transform_of(published).forward, transform_of(transform).inverse
        values = forward(back(torch.from_numpy(said[rows])))
        return float((values - forward(data.values[rows])).abs().mean())

    for k in options.partitions:
        rows = {
            part: tuple(i for i, at in enumerate(parts) if at[k] == part)
            for part in ("train", "val", "test")
        }
        split = Split(rows["train"], rows["val"], rows["test"])
        composition = composition_of(hub, data.select(split.train), transform, seed=k)
        arms = {
            "none": fresh(len(hub.standard["shift"]), WIDTH, k),
            "best": merged(hub, {composition.best: 1.0}),
            "composition": merged(hub, composition.weights),
        }
        asked = list(rows[options.part])
        row: dict[str, Any] = {
            "task": name,
            "partition": k,
            "best": composition.best,
            "weights": {n: round(w, 3) for n, w in composition.weights.items()},
        }
        middle = np.full(len(data), np.median(learned[list(split.train)]))
        row["median"] = error(middle, asked)
        for arm, module in arms.items():
            features = module_features({**module, **hub.standard}, plain, counts).double().numpy()
            each = {"kernel": kernel_answers(features, learned, split)}
            if k in options.networks:
                each["network"] = network_answers(module, hub, data, plain, split, transform, k)
                validation = list(split.validation)
                weights = best_weights(
                    {n: said[validation] for n, said in each.items()}, learned[validation]
                )
                each["mean"] = np.sum([w * each[n] for n, w in weights.items()], axis=0)
            row |= {f"{kind} {arm}": round(error(said, asked), 5) for kind, said in each.items()}
        print(json.dumps(row), flush=True)
        found.append(row)
    return found


def main() -> None:
    """Prints a line for every partition, and the mean changes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--partitions", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--networks", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--part", choices=("val", "test"), default="val")
    parser.add_argument("--hub", default="shipped")
    options = parser.parse_args()
    hub, found = load_hub(options.hub), []
    for name in options.tasks:
        others = {n: m for n, m in hub.modules.items() if m.card.config["target"] != name}
        found += measured(name, Hub(hub.name, others), options)
    summary(found)


def summary(found: list[dict[str, Any]]) -> None:
    """Mean over tasks of the change of the mean error, composition against the other arms."""
    for kind in ("kernel", "network", "mean"):
        rows = [row for row in found if f"{kind} none" in row]
        if not rows:
            continue
        names = sorted({row["task"] for row in rows})
        means = {
            (name, arm): np.mean([row[f"{kind} {arm}"] for row in rows if row["task"] == name])
            for name in names
            for arm in ("none", "best", "composition")
        }
        for other in ("none", "best", "the better of both"):
            against = {
                name: min(means[name, "none"], means[name, "best"])
                if other == "the better of both"
                else means[name, other]
                for name in names
            }
            change = [means[name, "composition"] / against[name] - 1 for name in names]
            print(f"{kind}: composition against {other}: {100 * np.mean(change):+.1f} %")


if __name__ == "__main__":
    main()
