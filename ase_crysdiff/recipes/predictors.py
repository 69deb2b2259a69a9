"""Predictors of properties, and how weights become one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff import registry
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.networks.adapters import attach, merge
from ase_crysdiff.networks.backbones.base import Backbone
from ase_crysdiff.networks.backbones.graphs import build_graph
from ase_crysdiff.networks.backbones.registry import make_backbone
from ase_crysdiff.networks.property_network import PropertyNetwork
from ase_crysdiff.potentials.base import Configurations, Potential
from ase_crysdiff.potentials.element_references import formation_energy
from ase_crysdiff.recipes import weights as weight_files
from ase_crysdiff.recipes.backbones import load_backbone
from ase_crysdiff.recipes.potentials import load_potential
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.sampling.model import Card, Config
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.training.regression import TargetScale

KIND = "predictor"
#: What the names of the backbone's tensors begin with in a property network.
PREFIX = "backbone."
#: Atoms that are computed together.
_MAX_ATOMS = 4096


@dataclass(frozen=True)
class Estimates:
    """What a predictor says of crystals, in their order.

    Args:
        values: In the unit of the card; NaN where there is none, shape (crystals,).
        uncertainty: One standard deviation in the same unit, NaN where it is not known, shape (crystals,).
        failures: Reason by position.
    """

    values: Float[Tensor, " crystals"]
    uncertainty: Float[Tensor, " crystals"]
    failures: Mapping[int, str]


class Predictor(ABC):
    """Estimates one property of crystals.

    Args:
        card: With `target` and `unit` in its config.

    Raises:
        CheckpointError: If the card does not say what is predicted.
    """

    def __init__(self, card: Card) -> None:
        missing = [entry for entry in ("target", "unit") if not card.config.get(entry)]
        if missing or card.config.get("kind") != KIND:
            raise CheckpointError(f"The card of {card.name} is none of a predictor: it lacks {missing or 'the kind'}.")
        self.card = card
        self.target, self.unit = str(card.config["target"]), str(card.config["unit"])
        self.elements = frozenset(card.elements)

    @abstractmethod
    def predict(self, crystals: CrystalBatch) -> Estimates:
        """The property of crystals in their reduced cells, in any order."""


class NetworkPredictor(Predictor):
    """A backbone with heads.

    Args:
        card: Its config says how the network was built and what its estimates mean.
        tensors: As stored with the card: with an adapter, only what the frozen backbone does not hold.
        device: Where to compute.

    Raises:
        CheckpointError: If the card lacks the scale of the targets, the tensors do not fit, or the frozen backbone is not there.
    """

    def __init__(self, card: Card, tensors: Mapping[str, Tensor], device: str | torch.device = "cpu") -> None:
        super().__init__(card)
        missing = [entry for entry in ("backbone", "members", "scale") if entry not in card.config]
        if missing:
            raise CheckpointError(f"The card of {card.name} lacks {missing}; without them its weights mean nothing.")
        self.tensors, self.device = dict(tensors), torch.device(device)
        adapted = card.config.get("adapter") is not None
        network = build(card.config, frozen_backbone(card.config["base"]) if adapted else None)
        frozen = {n: p for n, p in network.named_parameters() if not p.requires_grad}
        weight_files.fill(network, {**frozen, **tensors}, Path(card.name) / weight_files.WEIGHTS)
        merge(network.backbone)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.scale = TargetScale(**card.config["scale"])

    @property
    def backbone(self) -> Backbone:
        """The trained backbone, adapters merged."""
        return self.network.backbone

    def predict(self, crystals: CrystalBatch) -> Estimates:
        members = self.members(crystals)
        values = self.scale.inverse(members.mean(-1))
        factor = self.card.config.get("uncertainty")
        uncertainty = torch.full_like(values, torch.nan) if factor is None else factor * self.spread(members)
        missing = torch.nonzero(~torch.isfinite(values)).flatten().tolist()
        return Estimates(values, uncertainty, dict.fromkeys(missing, "the network gave a number that is not finite"))

    def members(self, crystals: CrystalBatch) -> Float[Tensor, "crystals members"]:
        """Estimates of the heads, on the scale of the training."""
        return _by_portions(lambda graph: self.network(graph).double(), self.backbone, crystals, self.device)

    def spread(self, members: Float[Tensor, "crystals members"]) -> Float[Tensor, " crystals"]:
        """Standard deviation of the heads' estimates in the unit of the property; it wants calibration."""
        return self.scale.inverse(members).std(-1)


class PotentialPredictor(Predictor):
    """Formation energy as a potential sees it: its energy per atom against its references of the elements.

    Args:
        card: Names the potential.
        potential: Brings the reference energies.
    """

    def __init__(self, card: Card, potential: Potential) -> None:
        super().__init__(card)
        self.potential = potential
        self.elements &= potential.elements & potential.formation_references.keys()

    def predict(self, crystals: CrystalBatch) -> Estimates:
        references = {str(z): energy for z, energy in self.potential.formation_references.items()}
        values = torch.full((len(crystals),), torch.nan, dtype=torch.float64)
        failures: dict[int, str] = {}
        for rows in _portions(crystals):
            part = crystals.select(rows)
            sets = Configurations.from_crystals(part.to(dtype=torch.float64))
            answer = evaluate_each(self.potential, sets, derivatives=False)
            per_atom = (answer.energy.double().cpu() / part.num_atoms).tolist()
            failures |= {int(rows[k]): reason for k, reason in answer.failures.items()}
            for row, energy, species in zip(rows.tolist(), per_atom, part.species.split(part.num_atoms.tolist()), strict=True):
                numbers, counts = species.unique(return_counts=True)
                amounts = dict(zip(map(str, numbers.tolist()), counts.tolist(), strict=True))
                try:
                    values[row] = formation_energy(energy, amounts, references)
                except InputError as error:
                    failures[row] = str(error)
        return Estimates(values, torch.full_like(values, torch.nan), failures)


def build(config: Config, backbone: Backbone | None = None) -> PropertyNetwork:
    """The network of a config, with its adapters; initial weights come from the global stream.

    Args:
        config: Of a predictor.
        backbone: Already trained; None makes one.
    """
    network = PropertyNetwork(backbone or make_backbone(config["backbone"]), int(config["members"]))
    if config.get("adapter") is not None:
        attach(network.backbone, int(config["adapter"]["rank"]), float(config["adapter"]["scale"]))
    return network


def frozen_backbone(base: Mapping[str, Any]) -> Backbone:
    """The pretrained backbone that an adapter was made for.

    Raises:
        CheckpointError: If there is no such backbone, or one of that name with other weights.
    """
    backbone, card = load_backbone(base["name"])
    if card.sha256 != base["sha256"]:
        raise CheckpointError(
            f"The adapter was made for {base['name']} {base['sha256'][:12]}…, but that name now stands for {card.version}…. "
            "Put the folder of the old weights into CRYSDIFF_WEIGHTS, or fine-tune again."
        )
    return backbone


def features(backbone: Backbone, crystals: CrystalBatch) -> Float[Tensor, "crystals hidden"]:
    """What a backbone makes of crystals: the mean over their atoms."""
    device = next(backbone.parameters()).device
    return _by_portions(lambda graph: backbone(graph).crystals, backbone, crystals, device)


def load_predictor(name: str | Path, device: str | torch.device = "cpu") -> Predictor:
    """A predictor, by its registered name or the folder that `crysdiff finetune` or `StructurePredictor.save` wrote.

    Raises:
        UnknownNameError: If there is no such predictor.
        CheckpointError: If its weights are missing, damaged or those of something else.
    """
    if (Path(name) / weight_files.CARD).is_file():
        return from_folder(Path(name).name, name, device)
    found: Predictor = registry.load(registry.PREDICTORS, str(name))(weights=None, device=device)
    return found


def from_folder(name: str, weights: str | Path | None = None, device: str | torch.device = "cpu") -> Predictor:
    """The predictor of a folder of weights; None takes `CRYSDIFF_WEIGHTS` or the shipped ones of that name."""
    folder = weight_files.find(name, weights)
    card = weight_files.read_card(folder)
    kind = card.config.get("kind", "sampler")
    if kind != KIND:
        raise CheckpointError(f"{folder} holds a {kind}, which predicts nothing. Give what crysdiff finetune wrote.")
    if "potential" in card.config:
        return _backed(card, device)
    return NetworkPredictor(*weight_files.read(folder), device)


def save(predictor: Predictor, folder: Path) -> Card:
    """Writes a predictor's weights and card.

    Raises:
        InputError: If it has no weights of its own.
    """
    if not isinstance(predictor, NetworkPredictor):
        raise InputError(f"{predictor.card.name} has no weights of its own: it asks a potential. There is nothing to save.")
    fields = {k: v for k, v in predictor.card.__dict__.items() if k != "sha256"}
    return weight_files.save(folder, predictor.tensors, fields)


def _backed(card: Card, device: str | torch.device) -> PotentialPredictor:
    """A predictor that asks a potential. What was measured with other weights of the potential is no property of these."""
    name = card.config["potential"]
    now = weight_files.read_card(weight_files.find(name)).sha256
    known = card if now == card.sha256 else replace(card, measured={}, sha256=now)
    potential = load_potential(name, device=device)
    if "hull" in card.config:  # brings pymatgen, which no other predictor needs
        from ase_crysdiff.recipes.hull_predictor import HullPredictor

        return HullPredictor(known, potential)
    return PotentialPredictor(known, potential)


def _portions(crystals: CrystalBatch) -> list[Tensor]:
    """Positions of crystals, sorted by size, in portions that are computed together."""
    order = torch.argsort(crystals.num_atoms, stable=True)
    portion = (crystals.num_atoms[order].cumsum(0) - 1) // _MAX_ATOMS
    return list(order.split(torch.unique_consecutive(portion, return_counts=True)[1].tolist()))


@torch.no_grad()
def _by_portions(function: Any, backbone: Backbone, crystals: CrystalBatch, device: torch.device) -> Tensor:
    """Rows of a function of graphs, in the order of the crystals, on the CPU."""
    if not len(crystals):
        raise InputError("There are no crystals to look at.")
    portions = _portions(crystals)
    found = [function(build_graph(crystals.select(rows).to(device), backbone.neighborhood)).cpu() for rows in portions]
    return torch.cat(found)[torch.argsort(torch.cat(portions))]
