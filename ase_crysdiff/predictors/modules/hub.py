"""Hubs: folders of modules of one encoder, each with its card.

A module is a small correction of what a frozen encoder says of atoms, trained for one property. It
names the digest of its encoder: beside another one its numbers mean nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.errors import CheckpointError, IncompatibleError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card, Config, Kind
from ase_crysdiff.models.pretrained import part_of
from ase_crysdiff.networks.energy import backbone_config
from ase_crysdiff.shapes import Tensor

#: Name of the hub that comes with the package.
SHIPPED = "shipped"
#: The potential whose trunk the shipped modules stand beside.
ENCODER = "dao-p"
#: Numbers that standardise what the trunk says, the same in all modules of a hub.
STANDARD = ("shift", "scale")
#: Digests of the formulas that a module has learned from.
LEARNED_FROM = "learned_from"


@dataclass(frozen=True)
class Module:
    """A module and what is known of it.

    Args:
        card: With target, unit, backbone and base in its config.
        tensors: Of the bottleneck by name, without a prefix, and those of `STANDARD`.
        learned_from: Digests of the formulas of the crystals that it has learned from.
    """

    card: Card
    tensors: Mapping[str, Tensor]
    learned_from: frozenset[int] = frozenset()

    @property
    def bottleneck(self) -> dict[str, Tensor]:
        """Its own tensors."""
        return {n: t for n, t in self.tensors.items() if n not in STANDARD}


@dataclass(frozen=True)
class Hub:
    """Modules of one encoder.

    Args:
        name: Folder, or "shipped".
        modules: By name, sorted.

    Raises:
        IncompatibleError: If they belong to different encoders.
        CheckpointError: If there is none, or they do not read the encoder alike.
    """

    name: str
    modules: Mapping[str, Module]

    def __post_init__(self) -> None:
        if not self.modules:
            raise CheckpointError(
                f"The hub {self.name} holds no modules. Give a folder whose folders have a "
                f"{weight_files.CARD} of a module each."
            )
        first, *others = self.modules.values()
        for other in others:
            _same_base(first.card, other.card)
            for name in STANDARD:
                if not torch.equal(first.tensors[name], other.tensors[name]):
                    raise CheckpointError(
                        f"{first.card.name} and {other.card.name} standardise what the encoder "
                        f"says differently ({name}). Train the modules of a hub together."
                    )

    @property
    def base(self) -> Mapping[str, str]:
        """Name and digest of the encoder."""
        found: Mapping[str, str] = next(iter(self.modules.values())).card.config["base"]
        return found

    @property
    def standard(self) -> dict[str, Tensor]:
        """What standardises the vectors of the encoder."""
        tensors = next(iter(self.modules.values())).tensors
        return {name: tensors[name] for name in STANDARD}


def trunk_of(base: Mapping[str, str]) -> tuple[Config, frozenset[int], dict[str, Tensor]]:
    """Config, elements and tensors of the encoder of a potential.

    Args:
        base: Its `name`, and the `sha256` that its weights must have if that is given.

    Raises:
        IncompatibleError: If the weights that are found have another digest.
        CheckpointError: If there are none, or those of something else.
    """
    card, tensors = weight_files.read(weight_files.find(base["name"]))
    if card.kind is not Kind.POTENTIAL:
        raise CheckpointError(f"{base['name']} is a {card.kind}; modules stand beside a potential.")
    if base.get("sha256", card.sha256) != card.sha256:
        raise IncompatibleError(
            f"The modules were made for {base['name']} {base['sha256']}, but that name now stands "
            f"for {card.sha256}. Put the folder of the old weights into CRYSDIFF_WEIGHTS, or train "
            "the modules again."
        )
    config = {**backbone_config(card.config["encoder"]), "name": "crysformer-modules"}
    return config, frozenset(card.elements), part_of(tensors, "encoder.")


def load_hub(hub: str | Path = SHIPPED) -> Hub:
    """A hub by folder, or the shipped one.

    Raises:
        CheckpointError: If there is no such folder, or it holds no modules or damaged ones.
        IncompatibleError: If its modules belong to different encoders.
    """
    folder = _folder(hub)
    cards = sorted(folder.glob(f"*/{weight_files.CARD}"))
    return Hub(str(hub), {path.parent.name: load_module(path.parent) for path in cards})


def load_module(folder: Path) -> Module:
    """The module of a folder.

    Raises:
        CheckpointError: If it holds something else.
    """
    card, tensors = weight_files.read(folder)
    missing = [key for key in ("target", "unit", "base") if not card.config.get(key)]
    absent = [
        key for key in (*STANDARD, "down.weight", "down.bias", "up.weight") if key not in tensors
    ]
    if card.kind is not Kind.MODULE or missing or absent:
        raise CheckpointError(
            f"{folder} holds no module but a {card.kind}"
            f"{f' without {missing + absent}' if missing + absent else ''}. Leave in the folder of "
            "a hub what save_module wrote."
        )
    digests = tensors.pop(LEARNED_FROM, torch.zeros(0, dtype=torch.int64))
    found = {name: tensor.float() for name, tensor in tensors.items()}
    return Module(card, found, frozenset(digests.tolist()))


def save_module(folder: Path, module: Module) -> Card:
    """Writes a module, its matrices rounded to bfloat16."""
    tensors = {
        name: tensor.bfloat16() if tensor.dim() > 1 else tensor.float()
        for name, tensor in module.tensors.items()
    }
    tensors[LEARNED_FROM] = torch.tensor(sorted(module.learned_from), dtype=torch.int64)
    fields: dict[str, Any] = {k: v for k, v in vars(module.card).items() if k != "sha256"}
    return weight_files.save(folder, tensors, fields)


def _folder(hub: str | Path) -> Path:
    if str(hub) == SHIPPED:
        return Path(str(resources.files("ase_crysdiff"))) / "weights" / "hub"
    if not Path(hub).is_dir():
        raise CheckpointError(
            f"There is no hub {hub}: a hub is a folder of modules, or '{SHIPPED}'."
        )
    return Path(hub)


def _same_base(first: Card, second: Card) -> None:
    one, other = first.config["base"], second.config["base"]
    if (one["name"], one["sha256"]) != (other["name"], other["sha256"]):
        raise IncompatibleError(
            f"{first.name} was made for {one['name']} {one['sha256']}, {second.name} for "
            f"{other['name']} {other['sha256']}: modules of different encoders cannot be composed. "
            "Keep them in folders of their own."
        )
