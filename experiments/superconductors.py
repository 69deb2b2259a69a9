"""Critical temperatures from structures, and from formulas whose structures nobody knows.

Measured values of 3DSC with their structures, in five folds that split no formula, on
ln(1 + Tc / K): the median, the plain forest on composition and density, what `crysdiff finetune`
makes of the crystals alone, and what it makes of them and of SuperCon's formulas without a
structure. No formula of a crystal of the table is learned from as a formula; `--apart` leaves out
all formulas of its chemical systems, too. The interval of what formulas change is a paired
bootstrap over formulas of crystals. Beside it the probability that there is no superconductor, by
the area under its curve, and DAO's compounds with everything of the same elements held out.

    python experiments/superconductors.py -o tc.json --tables tables

writes the two tables that the predictor `tc` is made of,

    crysdiff finetune --data tables/tc.csv.gz --formulas tables/formulas.csv --target tc --unit K \
        --transform log1p --models forest kernel \
        --descriptors composition geometry answers encoder \
        --small --split composition --folds 5 -o tc

The folder of data packs is that of `CRYSDIFF_DATA`.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.crystal.reduction import batch_of, reduced_cell
from ase_crysdiff.data.formula_tables import LabelledFormulas, read_formulas
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.property_tables import labelled, rows_of
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.data.reading.tables import open_table
from ase_crysdiff.data.splits import Split, by_shares, folds, groups_of
from ase_crysdiff.environment import data_folder
from ase_crysdiff.predictors.averaging import AveragedPredictor, beside_formulas, filled
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.descriptors.composition import shares
from ase_crysdiff.predictors.descriptors.describing import Described, describe
from ase_crysdiff.predictors.finetuning import FinetuneSettings
from ase_crysdiff.predictors.fitting import plain_forest
from ase_crysdiff.predictors.formulas import learned_from
from ase_crysdiff.predictors.heads.forest import Forest
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.predictors.measuring import summary
from ase_crysdiff.predictors.teaching import teach
from ase_crysdiff.storage import write_text
from ase_crysdiff.tasks import task
from ase_crysdiff.tasks.writing import write_tasks

#: Measured, K. Source: DAO for the compounds of Zr; SuperCon's Cr0.72Os0.28, the nearest to Cr6Os2.
TARGETS = {"Cr6Os2": 3.906, "Zr16Pd8O4": 3.73, "Zr16Rh8O4": 2.73}
UNIT = "ln(1 + x / K)"


@dataclass(frozen=True)
class Question:
    """What is measured on.

    Args:
        data: Crystals with measured values.
        described: Their descriptors.
        formulas: Of SuperCon.
        settings: Of the predictors.
        descriptors: File that keeps the descriptors.
    """

    data: LabelledCrystals
    described: Described
    formulas: LabelledFormulas
    settings: FinetuneSettings
    descriptors: Path

    @property
    def learned(self) -> NDArray[np.float64]:
        """ln(1 + Tc / K)."""
        return np.log1p(self.data.values.numpy())

    def taught(self, split: Split, formulas: Forest | None) -> AveragedPredictor:
        """A predictor of some rows."""
        with tempfile.TemporaryDirectory() as folder:
            found = teach(
                self.data,
                split,
                PropertyTarget("tc", "K"),
                InitialWeights.of("crysldnet"),
                self.settings,
                Path(folder),
                name="tc",
                descriptors=self.descriptors,
                formulas=formulas,
                beside_plain=False,
                progress=False,
            )
        assert isinstance(found, AveragedPredictor)
        return found


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="+", default=["forest", "kernel"])
    parser.add_argument(
        "--descriptors", nargs="+", default=["composition", "geometry", "answers", "encoder"]
    )
    parser.add_argument("--full", action="store_true", help="not the small models that ship")
    parser.add_argument("--apart", action="store_true", help="no formula of the chemical systems")
    parser.add_argument("--tables", type=Path, help="folder of the two tables")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        question = asked(options, Path(folder))
        content = measured(question, options)
    write_text(options.output, json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


def asked(options: argparse.Namespace, folder: Path) -> Question:
    """The crystals and the formulas, written as tables if that is wished."""
    packs = data_folder()
    assert packs is not None
    tables = options.tables or folder
    tables.mkdir(exist_ok=True)
    table = task("tc_measured").table()
    with open_table(packs / "superconductors/supercon_formula_tc.csv.gz") as file:
        pairs = [(row["formula_sc"], row["tc_kelvin"]) for row in csv.DictReader(file)]
    with (tables / "formulas.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("formula", "tc"), *pairs])
    if options.tables is not None:
        write_tasks([replace(task("tc_measured"), name="tc")], tables / "tc.csv.gz")
    given = rows_of(table.structures, [float(x) for x in table.values], table.names)
    data, report = labelled(
        given, transform="log1p", elements=InitialWeights.of("crysldnet").elements
    )
    print(report.summary(), flush=True)
    formulas = read_formulas(tables / "formulas.csv", "tc", "K", "log1p")
    if options.apart:
        formulas = apart(formulas, shares(data.crystals))
    settings = FinetuneSettings(
        models=tuple(options.models),
        descriptors=tuple(options.descriptors),
        small=not options.full,
        transform="log1p",
        seed=options.seed,
    )
    described = describe(data.crystals, settings.descriptors)
    return Question(data, described, formulas, settings, folder / "descriptors.npz")


def apart(formulas: LabelledFormulas, others: NDArray[np.float64]) -> LabelledFormulas:
    """Formulas of other chemical systems than those of the crystals."""
    known = {row.tobytes() for row in others > 0}
    kept = [i for i, row in enumerate(formulas.shares > 0) if row.tobytes() not in known]
    return LabelledFormulas(formulas.shares[kept], formulas.values[kept], formulas.left_out)


def measured(question: Question, options: argparse.Namespace) -> dict[str, Any]:
    """Errors over the folds, and of the compounds."""
    data, learned, seed = question.data, question.learned, options.seed
    groups = groups_of(data.crystals, "composition")
    trees = learned_from(question.formulas, data.crystals, "log1p", seed)
    answers: dict[str, NDArray[np.float64]] = {}
    chances = np.zeros(len(learned))
    for split in folds(groups, 5, 0.15, seed):
        known, test = [*split.train, *split.validation], list(split.test)
        found = {
            "median": np.full(len(test), np.median(learned[known])),
            "forest on composition and density": plain_forest(
                question.described, learned, known, test, seed
            ),
        }
        for name, formulas in (("crystals alone", None), ("crystals and formulas", trees)):
            predictor = question.taught(split, formulas)
            found[name], zero = said(predictor, question, test)
        chances[test] = zero
        for name, answer in found.items():
            answers.setdefault(name, np.full(len(learned), np.nan))[test] = answer
        errors = {n: np.abs(a[test] - learned[test]).mean().round(4) for n, a in answers.items()}
        print(errors, flush=True)
    without, with_formulas = (
        np.abs(answers[n] - learned) for n in ("crystals alone", "crystals and formulas")
    )
    return {
        "rows": len(learned),
        "formulas": len(question.formulas.without(shares(data.crystals))),
        "MAE of ln(1 + Tc/K)": {n: summary(np.abs(a - learned), UNIT) for n, a in answers.items()},
        "MAE, K": {
            n: summary(np.abs(np.expm1(a) - data.values.numpy()), "K") for n, a in answers.items()
        },
        "change by formulas": change(with_formulas, without, np.asarray(groups), seed),
        "area under the curve, no superconductor": round(area(chances, learned == 0), 4),
        "compounds": compounds(question, options),
    }


def said(
    predictor: AveragedPredictor, question: Question, rows: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln(1 + Tc / K) of rows, and the probability that they do not superconduct."""
    crystals = question.data.crystals.select(rows)
    seen = question.described.select(list(rows))
    values = predictor.estimates(crystals, seen).values.numpy()
    return np.log1p(values), chance_of_zero(predictor, seen)


def chance_of_zero(predictor: AveragedPredictor, seen: Described) -> NDArray[np.float64]:
    """How probably crystals do not superconduct."""
    if predictor.formulas is not None:
        seen = beside_formulas(seen, predictor.formulas)
    chances = predictor.probability_of_zero(filled(seen, predictor.fill))
    assert chances is not None
    return chances


def change(
    new: NDArray[np.float64], old: NDArray[np.float64], groups: NDArray[Any], seed: int
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


def area(chances: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """How often one of the kind has the larger chance than one that is not; ties count half."""
    order = np.argsort(chances, kind="stable")
    _, first, count = np.unique(chances[order], return_index=True, return_counts=True)
    ranks = np.repeat(first + (count + 1) / 2, count)
    of_truth = ranks[truth[order]]
    n, m = len(of_truth), len(chances) - len(of_truth)
    return float((of_truth.sum() - n * (n + 1) / 2) / (n * m))


def compounds(question: Question, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """DAO's compounds, each by a predictor that has seen no crystal and no formula of just its
    elements.
    """
    packs = data_folder()
    assert packs is not None
    records = read_all([packs / "superconductors/dao_targets.csv.gz"])
    by_elements = {s.composition.chemical_system: s for s in (r.load() for r in records)}
    palladium = by_elements["O-Pd-Zr"]
    rhodium: Structure = palladium.copy()
    rhodium.replace_species({"Pd": "Rh"})
    wanted = dict(zip(TARGETS, (by_elements["Cr-Os"], palladium, rhodium), strict=True))
    own = shares(question.data.crystals) > 0
    groups = groups_of(question.data.crystals, "composition")
    found = {}
    for name, structure in wanted.items():
        crystal = batch_of([reduced_cell(structure)])
        elements = shares(crystal)[0] > 0
        rows = np.flatnonzero((own != elements).any(1))
        other = apart(question.formulas, shares(crystal))
        trees = learned_from(other, question.data.crystals, "log1p", options.seed)
        parts = by_shares([groups[i] for i in rows], 0.15, 0.0, options.seed)
        train, validation = (tuple(rows[list(p)].tolist()) for p in (parts.train, parts.validation))
        predictor = question.taught(Split(train, validation, ()), trees)
        seen = describe(crystal, question.settings.descriptors)
        answer = predictor.estimates(crystal, seen)
        found[name] = {
            "measured, K": TARGETS[name],
            "predicted, K": round(float(answer.values[0]), 2),
            "uncertainty, K": round(float(answer.uncertainty[0]), 2),
            "no superconductor": round(float(chance_of_zero(predictor, seen)[0]), 3),
            "relatives held out": len(own) - len(rows),
        }
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
