"""Adaptive composition: from a hub of modules and a small table to the module to begin with.

Every module is judged by what neighbours among its features say of the labels; the convex weights
with which these opinions come closest to the labels are those with which the modules are added.
Nothing is trained, and it takes seconds.

Source: MoMa (2025), adaptive module composition. There whole networks are averaged; here modules
are added beside a frozen encoder, which is exact: the merged one is the weighted sum of all.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import groups_of
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.networks.encoders.crysformer.modular import side_by_side
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.modules.features import module_features, trunk
from ase_crysdiff.predictors.modules.hub import Hub
from ase_crysdiff.predictors.modules.proxy import leave_one_out
from ase_crysdiff.predictors.modules.simplex import simplex_weights
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.training.described_crystals import described

#: Rows that judge the modules, at most; the published number.
_ROWS = 800


@dataclass(frozen=True)
class Composition:
    """Which modules of a hub serve a property, and how well neighbours tell it by their features.

    Args:
        weights: Of the modules that count, the largest first; they add up to 1.
        errors: Root mean square error of the neighbours' opinions for every module of the hub, on
            the scale that is learned.
        error: That of the weighted opinions.
        constant: That of the mean, which knows no crystal.
        rows: Crystals that judged.
    """

    weights: Mapping[str, float]
    errors: Mapping[str, float]
    error: float
    constant: float
    rows: int

    @property
    def best(self) -> str:
        """The module that is best alone."""
        return min(self.errors, key=self.errors.__getitem__)


def composition_of(
    hub: Hub, data: LabelledCrystals, transform: str | None = None, seed: int = 0
) -> Composition:
    """Weighs the modules of a hub by a table.

    Args:
        hub: Of the modules.
        data: Training rows; the 800 that judge are drawn at random.
        transform: None, "log" or "log1p": what is learned of the values.
        seed: Of that draw.

    Raises:
        InputError: If there are fewer than three crystals.
        IncompatibleError: If the encoder is not that of the modules.
    """
    if len(data) < 3:
        raise InputError(f"{len(data)} crystals cannot judge modules; give at least three.")
    chosen = np.random.default_rng(seed).permutation(len(data))[:_ROWS]
    known = data.select(np.sort(chosen).tolist())
    values = transform_of(transform).forward(known.values.double())
    groups = torch.tensor(groups_of(known.crystals, "composition"))
    encoder, _ = trunk(hub.base["name"], hub.base["sha256"])
    atoms, counts = described(encoder, known.crystals), known.crystals.num_atoms
    opinions = {
        name: leave_one_out(module_features(module.tensors, atoms, counts), values, groups).numpy()
        for name, module in hub.modules.items()
    }
    wanted = values.numpy()
    weights = simplex_weights(np.stack(list(opinions.values()), 1), wanted)
    order = sorted(zip(opinions, weights.tolist(), strict=True), key=lambda pair: -pair[1])
    mixed = sum(weight * opinions[name] for name, weight in order)
    return Composition(
        {name: weight for name, weight in order if weight},
        {name: _error(opinion, wanted) for name, opinion in opinions.items()},
        _error(mixed, wanted),
        _error(np.full_like(wanted, wanted.mean()), wanted),
        len(known),
    )


def merged(hub: Hub, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Tensors of the weighted sum of a hub's modules.

    Args:
        hub: Of the modules.
        weights: Of those that count, by name.
    """
    parts = [hub.modules[name].bottleneck for name in weights]
    return side_by_side(parts, list(weights.values()))


def check_units(hub: Hub, target: PropertyTarget) -> None:
    """Refuses values of a property that a module of the hub has learned in another unit.

    Raises:
        IncompatibleError: If there is such a module.
    """
    for name, module in hub.modules.items():
        if (
            module.card.config["target"] == target.name
            and module.card.config["unit"] != target.unit
        ):
            raise IncompatibleError(
                f"The module {name} has learned {target.name} in {module.card.config['unit']}, not "
                f"in {target.unit}. Convert the values, or give the property another name."
            )


def _error(said: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((said - wanted) ** 2)))
