"""A fine-tuned network and what is fitted to frozen descriptors as one predictor: validation rows
say how much each counts.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import Split
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.errors import MissingExtraError
from ase_crysdiff.models.card import Card, Kind
from ase_crysdiff.predictors.averaging import (
    FOREST,
    KERNEL,
    MODULE,
    NETWORK,
    AveragedPredictor,
    beside_formulas,
    best_weights,
    mean_of,
    network_learned,
    spread_of,
)
from ase_crysdiff.predictors.base import Predictor, PropertyTarget
from ase_crysdiff.predictors.descriptors.describing import (
    FORMULAS,
    USUAL,
    Described,
    describe,
    describe_once,
    digests,
)
from ase_crysdiff.predictors.fitting import FULL, PLAIN_ERROR, Size, fit, plain_forest, restored
from ase_crysdiff.predictors.heads.forest import Forest
from ase_crysdiff.predictors.measuring import calibration, coverage, rows_of_part
from ase_crysdiff.predictors.modules.features import rows as module_rows
from ase_crysdiff.predictors.network import NetworkPredictor
from ase_crysdiff.shapes import Float, Tensor

log = logging.getLogger(__name__)

Array = NDArray[np.float64]


def averaged(
    data: LabelledCrystals,
    split: Split,
    target: PropertyTarget,
    network: NetworkPredictor | None,
    *,
    models: Sequence[str],
    transform: str | None,
    seed: int,
    name: str,
    about: Mapping[str, Any],
    elements: Collection[int],
    device: str = "cpu",
    descriptors: Path | None = None,
    module: Mapping[str, Tensor] | None = None,
    formulas: Forest | None = None,
    blocks: Sequence[str] = USUAL,
    size: Size = FULL,
    beside_plain: bool = True,
) -> Predictor:
    """A network, or none, with what else is fitted to the same rows, measured beside the plain
    forest and the median.

    Args:
        data: Clean rows, values in the unit of the target.
        split: Which of them train, which weigh and calibrate, which measure.
        target: What is predicted.
        network: Fine-tuned on the training rows.
        models: What may take part.
        transform: Under which the models are averaged.
        seed: Of the forests.
        name: Of the predictor.
        about: What the card says of the training.
        elements: Atomic numbers that the predictor answers for.
        device: Where the network computes.
        descriptors: File that keeps the descriptors of the data; None keeps none.
        module: Tensors of a module whose features the kernel regression reads, too.
        formulas: Trees that know the formulas of other compounds, whose answer forest and kernel
            regression read, too.
        blocks: Kinds of descriptors that forest and kernel regression read.
        size: How much is kept of them.
        beside_plain: Whether the plain forest is grown to be measured beside; folds of a
            cross-validation need none each.

    Returns:
        The network as it was if nothing makes it better on the validation rows, or scikit-learn,
        which grows forests, is not installed.

    Raises:
        MissingExtraError: If scikit-learn is not installed and there is no network.
    """
    described = _described(data, blocks, descriptors, module, formulas)
    usual = [name for name in described.blocks if name not in (MODULE, FORMULAS)]
    learned = transform_of(transform).forward(data.values).numpy()
    parts = {"validation": list(split.validation), "test": list(split.test)}
    try:
        forest = {}
        if beside_plain:
            plain = plain_forest(described, learned, split.train, range(len(data)), seed)
            forest[PLAIN_ERROR] = restored(plain, transform)
        heads = {FOREST, KERNEL} & set(models)
        pair = None
        if heads:
            rows_of_fit = split.train, split.validation
            pair = fit(described, learned, *rows_of_fit, seed, size, KERNEL in models)
    except MissingExtraError as error:
        if network is None:
            raise
        log.warning("%s Without it, the network stands alone and beside no forest.", error)
        return network
    each = {}
    if pair is not None:
        each = {k: v for k, v in pair[0].learned(described).items() if k in heads}
    if network is not None:
        each[NETWORK] = network_learned(network, data.crystals)
    rows = parts["validation"]
    weights = best_weights({k: v[rows] for k, v in each.items()}, learned[rows])
    if network is not None and (pair is None or set(weights) == {NETWORK}):
        results = dict(network.card.measured["results"])
        for part, chosen in parts.items():
            if chosen:
                answers = {k: v[chosen] for k, v in forest.items()}
                results |= rows_of_part(part, answers, data.values[chosen], target.unit)
        network.card = replace(network.card, measured={"results": results})
        return network
    assert pair is not None
    first, final = pair
    mean, by_trees = mean_of(each, weights), set(models) == {FOREST}
    typical = float(np.abs(mean[rows] - learned[rows]).mean())
    spread = first.spread(described, typical) if by_trees else spread_of(each, typical)
    ends = [restored(x, transform) for x in (mean - spread, mean + spread)]
    values, width = restored(mean, transform), (ends[1] - ends[0]) / 2
    factor = calibration((values - data.values).abs()[rows], width[rows])
    answers = {
        "MAE": values,
        **{f"MAE of the {model} alone": restored(x, transform) for model, x in each.items()},
        **forest,
        "error of the median": data.values[list(split.train)].median().expand_as(values),
    }
    results = {}
    for part, chosen in parts.items():
        results |= _part_results(part, chosen, answers, factor * width, data.values, target.unit)
    config: dict[str, Any] = {
        "recipe": "average",
        "kind": Kind.PREDICTOR.value,
        "target": target.name,
        "unit": target.unit,
        "elements": sorted(elements),
        "uncertainty": factor,
        "average": {
            "weights": weights,
            "transform": transform,
            "hurdle": final.zeros is not None,
            "squash": final.squash.as_dict(),
            "typical": typical,
            "by_trees": by_trees,
            "blocks": usual,
            "digests": digests(usual),
        },
    }
    known = {} if formulas is None else formulas.tensors()
    tensors = final.tensors() | _under(MODULE, module or {}) | _under(FORMULAS, known)
    training = dict(about)
    if network is not None and NETWORK in weights:
        config[NETWORK] = dict(network.card.config)
        tensors |= _under(NETWORK, network.tensors)
        training = dict(network.card.training)
    sizes = {"train": len(split.train), "validation": len(rows), "test": len(split.test)}
    numbers = sum(tensor.numel() for tensor in tensors.values())
    training |= {"rows": sizes, "split": split.digests(data.names), "parameters": numbers}
    card = Card(
        name,
        config,
        None,
        training,
        {"results": results},
        tuple(sorted(elements)),
        "as the data it was trained on",
        "",
    )
    return AveragedPredictor(card, tensors, device)


def _under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a part, its name before theirs."""
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}


def _described(
    data: LabelledCrystals,
    blocks: Sequence[str],
    kept: Path | None,
    module: Mapping[str, Tensor] | None,
    formulas: Forest | None,
) -> Described:
    """Descriptors of all rows, of the file that keeps them if there is one."""
    if kept is None:
        found = describe(data.crystals, blocks)
    else:
        found = describe_once(data.crystals, kept, blocks)
    if formulas is not None:
        found = beside_formulas(found, formulas)
    return found if module is None else found.beside(MODULE, module_rows(module, data.crystals))


def _part_results(
    part: str,
    rows: list[int],
    answers: Mapping[str, Float[Tensor, " crystals"]],
    uncertainty: Float[Tensor, " crystals"],
    known: Float[Tensor, " crystals"],
    unit: str,
) -> dict[str, Any]:
    """Errors of all answers on the rows of a part, and how many lie within the uncertainty."""
    if not rows:
        return {}
    here = {name: found[rows] for name, found in answers.items()}
    within = coverage((answers["MAE"] - known).abs()[rows], uncertainty[rows])
    found = rows_of_part(part, here, known[rows], unit)
    return found | {f"{part} within one standard deviation": within}
