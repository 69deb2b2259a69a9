"""Weights that a training begins with: those of another run, or exported ones."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models.adapters import BASE, whole
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.recipe import Recipe, Tensors, recipe_of
from ase_crysdiff.models.weights import CARD, find
from ase_crysdiff.training import checkpoint


@dataclass(frozen=True)
class Origin:
    """What a training begins with in place of random weights.

    Args:
        path: Folder of a run or of exported weights.
        name: Of the run or the weights.
        config: That they were built from.
        tensors: Averaged weights by name.
    """

    path: Path
    name: str
    config: Config
    tensors: Tensors

    @staticmethod
    def read(path: Path) -> "Origin":
        """The newest averaged weights of a run, or exported weights.

        Args:
            path: Folder that `crysdiff train` or `crysdiff export` made, or the name of weights
                that are installed, such as `miad`.

        Raises:
            CheckpointError: If the folder holds neither, or they are damaged.
        """
        if not path.exists() and path.name == str(path):
            path = find(path.name)
        if (path / CARD).is_file():
            card, tensors = whole(path)
            config = {key: value for key, value in card.config.items() if key != BASE}
            return Origin(path, card.name, config, tensors)
        found = checkpoint.load_newest(path) if path.is_dir() else None
        if found is None:
            raise CheckpointError(
                f"{path} holds neither a training run nor weights. Give a folder that crysdiff "
                "train or export made."
            )
        return Origin(path, path.name, found.record.config, found.averaged)

    @property
    def digest(self) -> str:
        """SHA-256 over config and weights, in the order of their names."""
        found = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        for name in sorted(self.tensors):
            values = self.tensors[name].detach().cpu().contiguous().flatten().view(torch.uint8)
            found.update(name.encode() + values.numpy().tobytes())
        return found.hexdigest()

    def config_for(self, made: Recipe, name: str, changes: Config, data: Any) -> Config:
        """The config of a model that begins with these weights.

        Args:
            made: Recipe of the model.
            name: Of the model, for messages.
            changes: Of the config that are asked for.
            data: That it learns from, as the recipe loads it.

        Raises:
            InputError: If the weights are those of another recipe, or do not allow the changes.
        """
        fixed = made.fixed_by_origin(changes)
        if fixed:
            raise InputError(
                f"--from keeps the config of {self.path}; --config {fixed} cannot change it. Leave "
                "one of them out."
            )
        other = recipe_of(self.config, self.name)
        same = other is made
        own = made.of_data(self.config, data) if same else made.adopted(self.config, data)
        if own is None:
            raise InputError(
                f"{self.path} holds a model of the recipe {other.name!r}, which {name!r} cannot "
                "start from."
            )
        return merge(own, changes, made.optional)


def merge(config: Config, changes: Config, optional: Sequence[str] = ()) -> dict[str, object]:
    """A config with changes; dictionaries merge, unless a change names another part.

    Args:
        config: Of a model.
        changes: New values by entry.
        optional: Entries that the changes may add.

    Raises:
        InputError: If a change concerns something the config does not have.
    """
    unknown = [k for k in changes if k not in config and k not in optional]
    if unknown:
        raise InputError(f"The config has no {unknown}; it has {sorted({*config, *optional})}.")
    result = dict(config)
    for key, value in changes.items():
        old = config.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            same = value.get("name", old.get("name")) == old.get("name")
            value = {**old, **value} if same else value
        result[key] = value
    return result
