r"""Does pretraining help? The same network, rows, splits, seeds and steps, once with pretrained
weights and once from scratch.

    python experiments/finetune_gain.py --encoder crysldnet --labels mp_labels.safetensors
    --validation mp_val.safetensors \
        --test mp_test.safetensors --targets formation_energy_per_atom band_gap --rows 500 --seeds 3
        -o gain.json

The files are packed crystals (`crysdiff pack --primitive`) with the targets among their columns; no
test crystal may have been in the pretraining. The result is the mean over seeds of the test error
of each arm, and the gain with the interval of a paired bootstrap: test crystals are drawn again,
the same ones for both arms, with the errors of each crystal averaged over the seeds. Arms that are
done are kept beside the output, so that an interrupted benchmark goes on.
"""

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.splits import Split, folds, groups_of
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.finetuning import FinetuneSettings, finetune
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.storage import write_text

ARMS = ("pretrained", "scratch")


def main() -> None:
    """Runs what is missing and writes the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", required=True, help="name or folder of the pretrained encoder")
    parser.add_argument(
        "--labels", type=Path, required=True, help="packed crystals to draw the training rows from"
    )
    parser.add_argument("--validation", type=Path, help="packed crystals that stop the training")
    parser.add_argument("--test", type=Path, help="packed crystals that are compared")
    parser.add_argument(
        "--folds", type=int, help="cross-validation on the labels instead of a test set"
    )
    parser.add_argument("--targets", nargs="+", required=True, help="columns of the packed files")
    parser.add_argument("--rows", type=int, help="training rows; all by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--log", action="store_true", help="learn logarithms")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    origin = InitialWeights.of(options.encoder)
    origins = {"pretrained": origin, "scratch": InitialWeights.scratch(origin.backbone)}
    results = {}
    for target in options.targets:
        errors = {arm: all_errors(arm, origins[arm], target, options) for arm in ARMS}
        results[target] = compare(errors)
        print(target, json.dumps(results[target]))
    settings = {
        k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items() if k != "output"
    }
    average = float(np.mean([r["gain, %"] for r in results.values()]))
    write_text(
        options.output,
        json.dumps({"settings": settings, "results": results, "mean gain, %": average}, indent=1)
        + "\n",
    )


def all_errors(
    arm: str, origin: InitialWeights, target: str, options: argparse.Namespace
) -> np.ndarray:
    """Absolute errors of one arm, shape (seeds, test crystals)."""
    found = []
    for seed in range(options.seeds):
        data, splits = problem(target, seed, options)
        errors = np.full(len(data), np.nan)
        for number, split in enumerate(splits):
            name = f"{target}-{options.rows}-{seed}-{number}-{arm}"
            errors[list(split.test)] = one(name, data, split, target, origin, seed, options)
        found.append(errors[np.isfinite(errors)])
    return np.array(found)


def one(
    name: str,
    data: LabelledCrystals,
    split: Split,
    target: str,
    origin: InitialWeights,
    seed: int,
    options: argparse.Namespace,
) -> list[float]:
    """Errors of one training on its test rows, from the file beside the output if it is there."""
    folder = options.output.with_suffix(".runs") / name
    record = folder / "errors.json"
    if record.exists():
        return json.loads(record.read_text())
    started = time.monotonic()
    settings = FinetuneSettings(
        members=1,
        epochs=options.epochs,
        patience=options.epochs,
        seed=seed,
        transform="log" if options.log else None,
        learning_rate=options.learning_rate,
    )
    predictor = finetune(
        data,
        split,
        PropertyTarget(target, "unit of the table"),
        origin,
        settings,
        folder,
        name=name,
    )
    rows = data.select(split.test)
    errors = (predictor.predict(rows.crystals).values - rows.values).abs().tolist()
    write_text(record, json.dumps(errors))
    print(f"{name}: MAE {np.mean(errors):.4f}, {time.monotonic() - started:.0f} s", flush=True)
    return errors


def problem(
    target: str, seed: int, options: argparse.Namespace
) -> tuple[LabelledCrystals, list[Split]]:
    """Rows and splits; the training rows depend on the seed, the test rows do not."""
    labels = known(PackedCrystals.load(options.labels), target, options.log)
    if options.folds:
        data = joined([labels], target)
        return data, folds(groups_of(data.crystals, "composition"), options.folds, 0.15, seed)
    chosen = np.random.default_rng(seed).permutation(len(labels))[: options.rows]
    parts = [labels.select(torch.from_numpy(np.isin(np.arange(len(labels)), chosen)))]
    parts += [
        known(PackedCrystals.load(path), target, options.log)
        for path in (options.validation, options.test)
    ]
    # Labels that end the training are labels, too: who has few to train on has fewer to spare.
    parts[1] = parts[1].select(torch.arange(len(parts[1])) < max(50, len(parts[0]) // 2))
    data = joined(parts, target)
    edges = np.cumsum([0, *map(len, parts)])
    return data, [Split(*(tuple(range(a, b)) for a, b in pairwise(edges)))]


def known(packed: PackedCrystals, target: str, log: bool) -> PackedCrystals:
    """The crystals whose target can be learned."""
    column = packed.values[target]
    return packed.select(
        torch.isfinite(column)
        & ((column > 0) if log else torch.ones_like(column, dtype=torch.bool))
    )


def joined(parts: list[PackedCrystals], target: str) -> LabelledCrystals:
    """Several packed files one after the other."""
    crystals = CrystalBatch.cat([p.batch for p in parts])
    values = torch.cat([p.values[target] for p in parts]).double()
    return LabelledCrystals(tuple(map(str, range(len(crystals)))), crystals, values)


def compare(errors: dict[str, np.ndarray], resamples: int = 5000) -> dict[str, object]:
    """Errors of both arms and the gain in percent with the interval of a paired bootstrap over the
    test crystals.
    """
    means = {arm: e.mean(0) for arm, e in errors.items()}
    drawn = np.random.default_rng(0).integers(
        0, len(means["scratch"]), (resamples, len(means["scratch"]))
    )
    gains = 100 * (1 - means["pretrained"][drawn].mean(1) / means["scratch"][drawn].mean(1))
    each = {arm: [round(float(x), 5) for x in e.mean(1)] for arm, e in errors.items()}
    return {
        "test crystals": len(means["scratch"]),
        "MAE": {arm: round(float(m.mean()), 5) for arm, m in means.items()},
        "MAE of each seed": each,
        "gain, %": round(
            float(100 * (1 - means["pretrained"].mean() / means["scratch"].mean())), 2
        ),
        "interval, %": [round(float(x), 2) for x in np.percentile(gains, [2.5, 97.5])],
    }


if __name__ == "__main__":
    main()
