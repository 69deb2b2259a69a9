"""What is compared on tables of properties: from a constant to a fine-tuned network.

A system is a function of one partition of a table that answers for all of its rows; what stands
behind a colon in its name is its argument. A further one is an entry of `SYSTEMS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import Split
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.weights import fill
from ase_crysdiff.networks.base import Backbone
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.predictors.averaging import best_weights, filled, mean_of, network_learned
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.descriptors.describing import Described, in_portions
from ase_crysdiff.predictors.descriptors.trunks import (
    POTENTIAL,
    backbone_features,
    potential_features,
)
from ase_crysdiff.predictors.finetuning import FinetuneSettings, finetune
from ase_crysdiff.predictors.fitting import Fitted, chosen_kernel, fit, plain_forest
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.tasks import Task

Array: TypeAlias = NDArray[np.float64]

_SCRATCH = {"name": "pddformer"}


@dataclass
class Part:
    """One partition of a table.

    Args:
        task: Whose table it is.
        data: All rows in their reduced cells.
        describe: Gives their descriptors, which not every system wants.
        split: Which rows train, which validate, which test.
        settings: Of trainings.
        folder: Where trainings keep their state.
        minutes: Time budget of each training.
        seed: Of everything drawn at random.
        probed: What encoders see of the rows, for all partitions of the table.
    """

    task: Task
    data: LabelledCrystals
    describe: Callable[[], Described]
    split: Split
    settings: FinetuneSettings
    folder: Path
    minutes: float | None = None
    seed: int = 0
    probed: dict[str, Described] = field(default_factory=dict)
    _networks: dict[str, Array] = field(default_factory=dict)

    @cached_property
    def described(self) -> Described:
        """Descriptors of all rows."""
        return self.describe()

    @property
    def learned(self) -> Array:
        """Values after the transform of the task."""
        return transform_of(self.task.transform).forward(self.data.values).numpy()

    @cached_property
    def heads(self) -> Mapping[str, Array]:
        """Answers of forest and kernel regression: on validation rows of those that know training
        rows only, on all others of those that know both.
        """
        first, final = (one.learned(self.described) for one in self._fits)
        rows = list(self.split.validation)
        for model, answers in final.items():
            answers[rows] = first[model][rows]
        return final

    @cached_property
    def strict(self) -> Mapping[str, Array]:
        """Answers of those that know training rows only, for all rows."""
        return self._fits[0].learned(self.described)

    def network(self, encoder: str) -> Array:
        """Answers of a network fine-tuned from an encoder; from scratch with "none"."""
        if encoder not in self._networks:
            initial = (
                InitialWeights.scratch(_SCRATCH)
                if encoder == "none"
                else InitialWeights.of(encoder)
            )
            predictor = finetune(
                self.data,
                self.split,
                PropertyTarget(self.task.name, self.task.unit),
                initial,
                self.settings,
                self.folder / encoder,
                name=self.task.name,
                minutes=self.minutes,
                progress=False,
            )
            self._networks[encoder] = network_learned(predictor, self.data.crystals)
        return self._networks[encoder]

    def weighed(self, each: Mapping[str, Array]) -> Array:
        """The mean of answers with the weights that err least on the validation rows."""
        rows = list(self.split.validation)
        weights = best_weights({k: v[rows] for k, v in each.items()}, self.learned[rows])
        return mean_of(each, weights)

    @cached_property
    def _fits(self) -> tuple[Fitted, Fitted]:
        split = self.split
        return fit(self.described, self.learned, split.train, split.validation, self.seed)


def _constant(part: Part, argument: str) -> Array:
    return np.full(len(part.data), np.median(part.learned[list(part.split.train)]))


def _forest(part: Part, argument: str) -> Array:
    rows = range(len(part.data))
    return plain_forest(part.described, part.learned, part.split.train, rows, part.seed)


def _frozen(part: Part, argument: str) -> Array:
    return part.heads[argument] if argument else part.weighed(part.heads)


def _strict(part: Part, argument: str) -> Array:
    return part.weighed(part.strict)


def _finetune(part: Part, argument: str) -> Array:
    return part.network(argument or "crysldnet")


def _probe(part: Part, argument: str) -> Array:
    """A kernel regression that reads nothing but what an encoder sees, which stays as it is."""
    encoder = argument or "crysldnet"
    seen = part.probed.get(encoder)
    if seen is None:
        seen = part.probed[encoder] = Described({"encoder": encoded(encoder, part.data.crystals)})
    rows = [list(part.split.train), list(part.split.validation)]
    means = np.nanmean(seen.all[rows[0]], 0)
    train, validation = (filled(seen.select(own), means) for own in rows)
    learned = [part.learned[own] for own in rows]
    kernel, squash, _ = chosen_kernel(train, learned[0], validation, learned[1], part.seed)
    return squash.inverse(kernel.predict(filled(seen, means).all))


def encoded(encoder: str, crystals: CrystalBatch) -> Array:
    """What an encoder, or the trunk of the potential that ships, sees of crystals; with "none" one
    with initial weights.
    """
    sees: Callable[[CrystalBatch], Array] = potential_features
    if encoder != POTENTIAL:
        sees = partial(backbone_features, *_backbone(encoder))
    return in_portions(crystals, sees)


def _backbone(encoder: str) -> tuple[Backbone, frozenset[int]]:
    """An encoder by name or folder, and the elements that it knows."""
    if encoder == "none":
        initial = InitialWeights.scratch(_SCRATCH)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            backbone = make_backbone(initial.backbone)
    else:
        initial = InitialWeights.of(encoder)
        backbone = make_backbone(initial.backbone)
        fill(backbone, initial.tensors, Path(encoder))
    return backbone.eval().requires_grad_(False), initial.elements


def _average(part: Part, argument: str) -> Array:
    return part.weighed({**part.heads, "network": _finetune(part, argument)})


#: By name: a partition and what stood behind the colon give answers after the transform of the
#: task, shape (rows,).
SYSTEMS: dict[str, Callable[[Part, str], Array]] = {
    "constant": _constant,
    "forest": _forest,
    "strict": _strict,
    "frozen": _frozen,
    "finetune": _finetune,
    "probe": _probe,
    "average": _average,
}


def answers(part: Part, system: str) -> Array:
    """What a system answers for all rows of a table.

    Raises:
        InputError: If there is no such system.
    """
    name, _, argument = system.partition(":")
    if name not in SYSTEMS:
        raise InputError(f"There is no system {system!r}. There are {', '.join(SYSTEMS)}.")
    return SYSTEMS[name](part, argument)
