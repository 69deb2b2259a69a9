"""Untrained models of toy size for tests."""

from pathlib import Path

import torch

from ase_crysdiff.crystal.packed import PackedCrystals
from ase_crysdiff.recipes import recipe, weights
from ase_crysdiff.sampling.model import Config

TINY = {"name": "cspnet", "hidden": 32, "layers": 2, "frequencies": 32}


def tiny_config(name: str, data: PackedCrystals) -> Config:
    return {**recipe(name).configure(data), "encoder": TINY}


def write_weights(name: str, config: Config, folder: Path, sampling: dict) -> Path:
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
