"""Recipes: how a name becomes a model, what it learns from and what of it ships.

A new model is one file with a subclass of `Recipe` and one entry point of the group
`ase_crysdiff.recipes` that names an instance of it, such as `ase_crysdiff.recipes.miad:RECIPE`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from ase_crysdiff import registry
from ase_crysdiff.errors import CheckpointError, InputError, UnknownNameError
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import Card, Config, Kind

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

#: Weights by name of the parameter.
Tensors: TypeAlias = Mapping[str, "torch.Tensor"]


class Recipe(ABC):
    """One kind of model: how it is built, from which data, and how it is trained.

    `build`, `configure`, `load_data` and `task` must be written; the other methods say what is true
    of most models. Modules that bring heavy libraries along are best imported inside `task`.
    """

    #: Registered name; stands as `recipe` in every config.
    name: ClassVar[str]
    #: What the weights are.
    kind: ClassVar[Kind]
    #: Entries of a config that it takes beside those of the default config.
    optional: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, config: Config) -> Any:
        """The model of a config, with initial weights from torch's global generator.

        Raises:
            InputError: If the config names a part or an argument that does not exist.
        """

    @abstractmethod
    def configure(self, data: Any) -> dict[str, Any]:
        """The default config for a data set: its statistics and a network that a CPU can train.

        Args:
            data: What `load_data` returns.
        """

    def of_data(self, config: Config, data: Any) -> dict[str, Any]:
        """The config of a training that begins with other weights: those of its entries that are
        statistics of the data may be the data's own; by default all stay.

        Args:
            config: Of the weights.
            data: What `load_data` returns.
        """
        return dict(config)

    def adopted(self, config: Config, data: Any) -> dict[str, Any] | None:
        """The config of a training that begins with weights of another recipe; None, which is the
        default, if it cannot.

        Args:
            config: Of those weights.
            data: What `load_data` returns.
        """
        return None

    def resolved(self, config: Config, data: Any) -> dict[str, Any]:
        """The config with entries filled in that take statistics of the data; by default all stay.

        Args:
            config: As it is asked for.
            data: What `load_data` returns.
        """
        return dict(config)

    @abstractmethod
    def load_data(self, path: Path) -> Any:
        """A packed file as a training or validation set.

        Raises:
            InputError: If the file is missing, damaged or holds something else.
        """

    @abstractmethod
    def task(
        self,
        model: Any,
        config: Config,
        data: Any,
        settings: Any,
        device: "torch.device",
        validation: Any = None,
    ) -> Any:
        """What the training loop is given: network, batches, objective.

        Args:
            model: What `build` returned; its weights are changed in place.
            config: What it was built from.
            data: Training set, as `load_data` returns it.
            settings: A `training.settings.TrainSettings`.
            device: Where the batches live.
            validation: Set for the validation loss.

        Returns:
            A `training.task.Task`.

        Raises:
            InputError: If none of the data can be used, or the settings do not fit the model.
        """

    def network(self, model: Any) -> "torch.nn.Module":
        """The module whose parameters are the weights; by default the model itself."""
        return model

    def fixed_by_origin(self, changes: Config) -> list[str]:
        """Those changes of a config that weights to begin with do not allow; by default all."""
        return sorted(changes)

    def fill(self, model: Any, tensors: Tensors, source: Path) -> None:
        """Copies the weights that a training begins with into a model. Where the model reads more
        than they do, and its network says by `added_columns` that this may be, it begins with zeros
        there and first computes what they do.

        Args:
            model: What `build` returned.
            tensors: By name of the parameter.
            source: Where they come from, for messages.

        Raises:
            CheckpointError: If they do not fit.
        """
        from ase_crysdiff.networks.added_columns import with_added_columns

        tensors, widened = with_added_columns(self.network(model), tensors)
        if widened:
            log.info(
                "%s has no weights for what is read beside: the last columns of %s begin as zeros",
                source,
                ", ".join(widened),
            )
        weights.fill(self.network(model), tensors, source)

    def guiding(self, config: Config, sampler: Config) -> dict[str, Any]:
        """The config of a model that guides a sampler: it learns on the sampler's noise.

        Args:
            config: Of the model.
            sampler: Config of the sampler.

        Raises:
            InputError: If such models guide nothing, which is the default, or not that sampler.
        """
        raise InputError(
            f"--sampler names what dao-p-noisy is to guide; {self.name} guides nothing."
        )

    def exported(
        self, config: Config, tensors: Tensors, whole: bool = False
    ) -> tuple[Config, Tensors]:
        """Config and tensors that are worth shipping; by default all as they are.

        Args:
            config: Of the training run.
            tensors: The averaged weights by name.
            whole: Whether to keep what only the training needs.

        Raises:
            CheckpointError: If they do not fit together.
        """
        return config, tensors


class DirectRecipe(ABC):
    """One kind of model that is computed from its data at once: nothing is trained by gradients."""

    #: Registered name; stands as `recipe` in every config.
    name: ClassVar[str]
    #: What the weights are.
    kind: ClassVar[Kind]

    @abstractmethod
    def make(
        self, data: Path, folder: Path, name: str, changes: Config, about: Mapping[str, Any]
    ) -> Card:
        """Makes a model and writes its weights with a card.

        Args:
            data: Packed file.
            folder: To write to; samplers load it.
            name: Of the weights.
            changes: Of the default config.
            about: What the card says of the data beside what the file knows.

        Raises:
            InputError: If the data or a change of the config cannot be used.
        """


def recipe(name: str) -> Recipe:
    """The recipe of a model: the registered name itself, or the part of it before the data set.

    Args:
        name: Such as `dao-g-flow`, or `dao-g-perov5`, which the recipe `dao-g` trains.

    Raises:
        UnknownNameError: If there is none.
        InputError: If what is registered is no recipe, or one that trains nothing.
    """
    found = _registered(name)
    if isinstance(found, DirectRecipe):
        raise InputError(
            f"{name!r} is made at once and not trained by steps: use crysdiff train {name} --data "
            "packed.safetensors, without options of a training."
        )
    return found


def direct_recipe(name: str) -> DirectRecipe | None:
    """The recipe of a model that is made at once; None where a name means one that is trained.

    Raises:
        UnknownNameError: If there is none.
        InputError: If what is registered is no recipe.
    """
    found = _registered(name)
    return found if isinstance(found, DirectRecipe) else None


def _registered(name: str) -> Recipe | DirectRecipe:
    known = registry.names(registry.RECIPES)
    for candidate in sorted(known, key=len, reverse=True):
        if name == candidate or name.startswith(f"{candidate}-"):
            found = registry.load(registry.RECIPES, candidate)
            if not isinstance(found, Recipe | DirectRecipe):
                raise InputError(
                    f"The entry point {candidate!r} of {registry.RECIPES} names a "
                    f"{type(found).__name__}, expected an instance of "
                    "ase_crysdiff.models.recipe.Recipe."
                )
            return found
    raise UnknownNameError(
        f"No recipe trains {name!r}. Known: {', '.join(known)}, and names that begin with one of "
        "them."
    )


def recipe_of(config: Config, name: str) -> Recipe:
    """The recipe that made a config.

    Args:
        config: Of a run or a card. The oldest ones do not name their recipe.
        name: Of the run or the weights, which then tells.

    Raises:
        UnknownNameError: If there is no such recipe.
    """
    unnamed = "dao-p" if config.get("kind") == Kind.POTENTIAL else name
    return recipe(config.get("recipe", unnamed))


def kind_of(name: str) -> Kind | None:
    """What a name stands for, by the card of its weights, else by its recipe.

    Returns:
        None where there is neither.
    """
    try:
        return weights.read_card(weights.find(name)).kind
    except CheckpointError:
        pass
    try:
        return _registered(name).kind
    except UnknownNameError:
        return None
