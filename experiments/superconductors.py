"""Critical temperatures from structures: what a forest knows of them, and the predictor `tc`.

Measured values of 3DSC with their structures, in five folds that split no group of formulas and
crystals that hang together, on ln(1 + Tc / K): the median, the plain forest on composition and
density, and the small forest that ships, which sees the geometry, too. Beside it the probability
that there is no superconductor, by the area under its curve, and DAO's compounds with all
relatives (crystals of the same elements) held out.

Formulas of SuperCon without a structure get the one that most known crystals vote for, and join the
training rows of a second forest; none of them is a formula, measured or of a crystal, of the table.
The interval of what they change is a paired bootstrap over groups.

    python experiments/superconductors.py -o tc.json --predictor weights/tc

The folder of data packs is that of `CRYSDIFF_DATA`.
"""

import argparse
import csv
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Composition, Structure

from ase_crysdiff.campaigns.benchmark.properties.measuring import labelled_rows
from ase_crysdiff.crystal.reduction import Cell, batch_of, reduced_cell
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.data.reading.tables import open_table
from ase_crysdiff.environment import data_folder
from ase_crysdiff.errors import CrysDiffError
from ase_crysdiff.models.card import Card, Kind
from ase_crysdiff.predictors.averaging import FOREST, ZEROS, AveragedPredictor
from ase_crysdiff.predictors.descriptors.describing import Described, describe
from ase_crysdiff.predictors.fitting import plain_forest
from ase_crysdiff.predictors.heads.forest import Forest, ForestSettings
from ase_crysdiff.predictors.heads.squash import Squash
from ase_crysdiff.predictors.loading import save
from ase_crysdiff.predictors.measuring import calibration, coverage, summary
from ase_crysdiff.storage import write_text
from ase_crysdiff.tasks import Table, task

BLOCKS = ("composition", "geometry")
#: Small enough to ship: together less than a megabyte.
VALUES = ForestSettings(trees=60, extra=True, share=0.5, leaf=8)
CHANCES = ForestSettings(trees=30, extra=True, share=0.5, leaf=16)
#: Measured, K. Source: DAO for the compounds of Zr; SuperCon's Cr0.72Os0.28, the nearest to Cr6Os2.
TARGETS = {"Cr6Os2": 3.906, "Zr16Pd8O4": 3.73, "Zr16Rh8O4": 2.73}


def main() -> None:
    """Measures, and writes the predictor."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generated", type=int, default=1000, help="formulas of SuperCon at most")
    parser.add_argument("--workers", type=int, default=1, help="processes for the folds")
    parser.add_argument("--predictor", type=Path, help="folder of the predictor")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    one = task("tc_measured")
    table = one.table()
    data, rows = labelled_rows(table)
    described = describe(data.crystals, BLOCKS)
    learned = one.learned(data.values.numpy())
    answers: dict[str, NDArray[np.float64]] = {}
    errors: dict[str, list[float]] = {}
    chances = np.zeros(len(learned))
    more, more_learned = generated(table, options.generated)
    print(len(more), "formulas with a generated structure", flush=True)
    joined = Described(
        {n: np.concatenate([block, more.blocks[n]]) for n, block in described.blocks.items()}
    )
    joined_learned = np.concatenate([learned, more_learned])
    extra = list(range(len(learned), len(joined_learned)))
    folds = [[[rows[i] for i in part.tolist() if i in rows] for part in f] for f in table.folds()]
    jobs = [(described, learned, joined, joined_learned, fold, options.seed) for fold in folds]
    with ProcessPoolExecutor(options.workers) as pool:
        asked = pool.submit(compounds, described, learned, data, options.seed)
        for (_, _, test), found in zip(folds, pool.map(held_out, jobs), strict=True):
            chances[test] = found.pop(ZEROS)
            for name, answer in found.items():
                answers.setdefault(name, np.zeros(len(learned)))[test] = answer
                errors.setdefault(name, []).append(float(np.abs(answer - learned[test]).mean()))
            print({name: round(each[-1], 4) for name, each in errors.items()}, flush=True)
        told = asked.result()
    kelvin = {n: torch.from_numpy(np.expm1(a)) for n, a in answers.items()}
    truth = data.values
    content = {
        "rows": len(learned),
        "MAE of ln(1 + Tc/K)": {
            name: {
                **summary(np.abs(answer - learned), one.learned_unit),
                "folds": [round(x, 4) for x in errors[name]],
            }
            for name, answer in answers.items()
        },
        "generated structures": {
            "formulas": len(extra),
            "change of the MAE": change(
                np.abs(answers["tc, with generated structures"] - learned),
                np.abs(answers["tc"] - learned),
                table.groups[list(rows)],
                options.seed,
            ),
        },
        "MAE, K": {n: summary((k - truth).abs().numpy(), "K") for n, k in kelvin.items()},
        "area under the curve, no superconductor": round(area(chances, learned == 0), 4),
        "compounds": told,
    }
    write_text(options.output, json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))
    if options.predictor is not None:
        write(described, learned, answers["tc"], content, data, options)


def held_out(job: tuple[Any, ...]) -> dict[str, NDArray[np.float64]]:
    """Answers for the test rows of a fold, by name."""
    described, learned, joined, joined_learned, (train, val, test), seed = job
    known, asked = [*train, *val], described.select(test).few
    extra = list(range(len(learned), len(joined_learned)))
    return {
        "median": np.full(len(test), np.median(learned[known])),
        "forest on composition and density": plain_forest(described, learned, known, test, seed),
        "tc": values(described, learned, known, seed).predict(asked),
        "tc, with generated structures": values(
            joined, joined_learned, [*known, *extra], seed
        ).predict(asked),
        ZEROS: zeros(described, learned, known, seed).predict(asked),
    }


def generated(table: Table, most: int) -> tuple[Described, NDArray[np.float64]]:
    """Descriptors of the first choice of the library for formulas of SuperCon of whole amounts, and
    their ln(1 + Tc).
    """
    from pymatgen_ext import StructureSampler

    folder = data_folder()
    assert folder is not None
    taken = {s.composition.reduced_formula for s in table.structures}
    taken |= {Composition(name.split()[0]).reduced_formula for name in table.names}
    sampler = StructureSampler("prototypes")
    found: list[Cell] = []
    known: list[float] = []
    with open_table(folder / "superconductors/supercon_formula_tc.csv.gz") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        try:
            formula = Composition(row["formula_sc"])
        except ValueError:  # an amount that nobody has filled in
            continue
        whole = all(abs(n - round(n)) < 1e-6 for n in formula.values())
        name = formula.reduced_formula
        if not whole or name in taken or not 2 <= formula.num_atoms <= 20 or len(found) >= most:
            continue
        taken.add(name)
        try:
            (crystal,) = sampler.sample(1, composition=formula, seed=0, progress=False)
            found.append(reduced_cell(crystal))
        except (CrysDiffError, ValueError):  # no prototype, or no crystal that can be read
            continue
        known.append(float(row["tc_kelvin"]))
    return describe(batch_of(found), BLOCKS), np.log1p(known)


def change(
    new: NDArray[np.float64], old: NDArray[np.float64], groups: NDArray[np.int64], seed: int
) -> dict[str, float | list[float]]:
    """Relative change of a mean error with its 95 % interval, groups drawn again."""
    number = np.unique(groups, return_inverse=True)[1]
    sums = np.stack([np.bincount(number, x) for x in (new, old)])
    drawn = np.random.default_rng(seed).integers(0, sums.shape[1], (1000, sums.shape[1]))
    ratios = sums[0][drawn].sum(1) / sums[1][drawn].sum(1) - 1
    low, high = np.percentile(ratios, [2.5, 97.5])
    return {
        "value": round(float(new.sum() / old.sum() - 1), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }


def values(
    described: Described, learned: NDArray[np.float64], rows: list[int], seed: int
) -> Forest:
    """The forest that ships, of some rows."""
    return Forest.grown(described.few[rows], learned[rows], VALUES, seed)


def zeros(described: Described, learned: NDArray[np.float64], rows: list[int], seed: int) -> Forest:
    """How probably a crystal does not superconduct."""
    return Forest.grown(described.few[rows], (learned[rows] == 0).astype(float), CHANCES, seed)


def area(chances: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """How often one of the kind has the larger chance than one that is not; ties count half."""
    order = np.argsort(chances, kind="stable")
    _, first, count = np.unique(chances[order], return_index=True, return_counts=True)
    ranks = np.repeat(first + (count + 1) / 2, count)
    of_truth = ranks[truth[order]]
    n, m = len(of_truth), len(chances) - len(of_truth)
    return float((of_truth.sum() - n * (n + 1) / 2) / (n * m))


def compounds(
    described: Described,
    learned: NDArray[np.float64],
    data: LabelledCrystals,
    seed: int,
) -> dict[str, dict[str, float]]:
    """DAO's compounds, each by a forest that has seen no crystal of just its elements."""
    folder = data_folder()
    assert folder is not None
    records = read_all([folder / "superconductors/dao_targets.csv.gz"])
    structures = [record.load() for record in records]
    by_elements = {s.composition.chemical_system: s for s in structures}
    palladium = by_elements["O-Pd-Zr"]
    rhodium: Structure = palladium.copy()
    rhodium.replace_species({"Pd": "Rh"})
    wanted = {
        "Cr6Os2": by_elements["Cr-Os"],
        "Zr16Pd8O4": palladium,
        "Zr16Rh8O4": rhodium,
    }
    crystals = data.crystals
    elements = [
        frozenset(part.tolist()) for part in crystals.species.split(crystals.num_atoms.tolist())
    ]
    found = {}
    for name, structure in wanted.items():
        own = frozenset(site.specie.Z for site in structure)
        rows = [i for i, one in enumerate(elements) if one != own]
        asked = describe(batch_of([reduced_cell(structure)]), BLOCKS).few
        value = float(np.expm1(values(described, learned, rows, seed).predict(asked)[0]))
        found[name] = {
            "measured, K": TARGETS[name],
            "predicted, K": round(value, 2),
            "no superconductor": round(
                float(zeros(described, learned, rows, seed).predict(asked)[0]), 3
            ),
            "relatives held out": len(elements) - len(rows),
        }
    return found


def write(
    described: Described,
    learned: NDArray[np.float64],
    held_out: NDArray[np.float64],
    content: dict[str, Any],
    data: LabelledCrystals,
    options: argparse.Namespace,
) -> None:
    """The predictor of all rows, its uncertainty calibrated on the predictions held out."""
    one = task("tc_measured")
    rows = list(range(len(learned)))
    forest, chances = (f(described, learned, rows, options.seed) for f in (values, zeros))
    squash = Squash(0.0, 1.0, 0.0, float(learned.max()))
    typical = float(np.abs(held_out - learned).mean())
    half = (np.expm1(held_out + typical) - np.expm1(np.maximum(held_out - typical, 0))) / 2
    truth = np.expm1(learned)
    errors = torch.from_numpy(np.abs(np.expm1(held_out) - truth))
    factor = calibration(errors, torch.from_numpy(half))
    crystals = data.crystals
    known = sorted(set(crystals.species.tolist()))
    tensors = {"fill": torch.zeros(described.all.shape[1], dtype=torch.float64)}
    tensors |= {f"{FOREST}.{k}": v for k, v in forest.tensors().items()}
    tensors |= {f"{ZEROS}.{k}": v for k, v in chances.tensors().items()}
    results = {
        "5-fold cross-validation MAE": content["MAE, K"]["tc"],
        "5-fold cross-validation MAE of ln(1 + Tc)": content["MAE of ln(1 + Tc/K)"]["tc"],
        "error of the median": content["MAE, K"]["median"],
        "error of a forest on composition and density": content["MAE, K"][
            "forest on composition and density"
        ],
        "within one standard deviation": coverage(errors, factor * torch.from_numpy(half)),
        "area under the curve, no superconductor": {
            "value": content["area under the curve, no superconductor"]
        },
    }
    config = {
        "recipe": "average",
        "kind": Kind.PREDICTOR.value,
        "target": "tc",
        "unit": "K",
        "elements": known,
        "uncertainty": factor,
        "average": {
            "weights": {FOREST: 1.0},
            "transform": "log1p",
            "squash": squash.as_dict(),
            "typical": typical,
            "blocks": list(BLOCKS),
            "digests": {},
        },
    }
    training: dict[str, Any] = {
        "rows": {"train": len(learned)},
        "data": one.source,
        "parameters": sum(t.numel() for t in tensors.values()),
        "command": "python experiments/superconductors.py --predictor tc",
    }
    measured = {"command": training.pop("command"), "results": results}
    card = Card("tc", config, None, training, measured, tuple(known), one.licence, "")
    save(AveragedPredictor(card, tensors), options.predictor)


if __name__ == "__main__":
    main()
