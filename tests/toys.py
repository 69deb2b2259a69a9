"""Untrained models of toy size for tests."""

import math
from pathlib import Path

import torch

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import Card, Config, Kind
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.predictors.modules.hub import ENCODER, Module
from ase_crysdiff.predictors.modules.training import fresh

TINY = {"name": "cspnet", "hidden": 32, "layers": 2, "frequencies": 32}


#: Volume of the cells that an untrained toy of mirage atoms draws, Å³: physical for one atom as
#: well as for all that its slots may hold, so that draws are seldom refused.
MIRAGE_VOLUME = 220.0


def tiny_config(name: str, data: PackedCrystals) -> Config:
    """A recipe's config with a network of toy size."""
    config = {**recipe(name).configure(data), "encoder": TINY}
    if config.get("state_space", {}).get("name") == "mirage":
        lattice = config["lattice"]
        mean = [*lattice["mean"][:5], math.log(MIRAGE_VOLUME) / 3]
        config["lattice"] = {**lattice, "mean": mean, "scale": [0.1] * 6}
    return config


def write_weights(name: str, config: Config, folder: Path, sampling: dict) -> Path:
    """Weights of an untrained model, as `crysdiff export` writes trained ones."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(1)
        model = recipe(name).build(config)
    card = {
        "name": name,
        "config": config,
        "sampling": sampling,
        "training": {},
        "measured": {},
        "elements": config["elements"],
        "licence": "MIT",
    }
    weights.save(folder, dict(model.denoiser.named_parameters()), card)
    return folder


def write_encoder(folder: Path, elements: list[int], name: str = "toy-encoder") -> Path:
    """A small backbone with initial weights, as `crysdiff export` writes a pretrained one."""
    spec = {"name": "crystal-graph", "hidden": 32, "layers": 2}
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(2)
        backbone = make_backbone(spec)
    card = {
        "name": name,
        "config": {
            "recipe": "crysldnet",
            "kind": "backbone",
            "backbone": spec,
            "elements": elements,
        },
        "sampling": {},
        "training": {},
        "measured": {},
        "elements": elements,
        "licence": "MIT",
    }
    weights.save(folder / name, {f"backbone.{n}": p for n, p in backbone.named_parameters()}, card)
    return folder / name


def toy_module(name, seed, width=8, base=None):
    """A module with random numbers beside the shipped encoder."""
    card = weights.read_card(weights.find(ENCODER))
    base = base or {"name": ENCODER, "sha256": card.sha256}
    generator = torch.Generator().manual_seed(seed)
    tensors = fresh(256, width, seed)
    tensors["up.weight"] = torch.randn(256, width, generator=generator)
    standard = {"shift": torch.full((256,), 0.1), "scale": torch.full((256,), 2.0)}
    config = {
        "recipe": "module",
        "kind": Kind.MODULE.value,
        "target": name,
        "unit": "eV",
        "base": base,
    }
    card = Card(name, config, None, {}, {}, card.elements, "MIT", "")
    return Module(card, {**tensors, **standard}, frozenset({1, 2}))
