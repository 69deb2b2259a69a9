"""DAO-P as published: the energy of noisy states, which guides the sibling generator on its way.

Source: DAO (GLAD-RUC 2025) for the task, the mix-supervised loss and the energy head. The encoder
is CSPNet by default, or Crysformer by name; labels are energies above the lowest of the
composition, see `data.energy_crystals`, with the loss of `training.energy_losses`.
"""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from ase_crysdiff.data.energy_crystals import ABOVE_LOWEST, energy_crystals
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.parts import (
    SPACES,
    coordinate_component,
    lattice_component,
    make_encoder,
    make_stem,
    part,
)
from ase_crysdiff.models.recipe import Recipe
from ase_crysdiff.networks.assembly import denoiser_for
from ase_crysdiff.networks.noisy_energy import EnergyDenoiser
from ase_crysdiff.processes.joint import JointProcess
from ase_crysdiff.recipes import dao_g
from ase_crysdiff.training.noisy_energy import noisy_energy_task
from ase_crysdiff.training.origin import merge
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task

#: Largest energy above the lowest of a composition, eV/atom; DAO leaves out what is further above
#: the hull, too.
LIMIT = 1.0
#: Of the energy loss; with 1, as published, it is a small part of the total loss.
ENERGY_WEIGHT = 10.0


class DaoPNoisy(Recipe):
    """A denoiser for given species that also predicts the energy of its noisy input."""

    name = "dao-p-noisy"
    kind: ClassVar[Kind] = Kind.NOISY_ENERGY
    optional: ClassVar[tuple[str, ...]] = ("processes",)

    def build(self, config: Config) -> GenerativeModel:
        """The model of a config; its denoiser is an `EnergyDenoiser`."""
        joint = JointProcess(lattice_component(config), coordinate_component(config))
        space = part(SPACES, config["state_space"], "state space")
        denoiser = partial(
            EnergyDenoiser, mean=config["energy"]["mean"], std=config["energy"]["std"]
        )
        return GenerativeModel(
            space,
            joint,
            denoiser_for(joint, make_encoder(config), make_stem(config), denoiser),
            config,
        )

    def configure(self, labels: Labels) -> dict[str, Any]:
        """The default config for a set of labels. It guides samplers with the same noise only, see
        `noise_of`.
        """
        crystals = energy_crystals(labels, LIMIT)
        if len(crystals) < 2:
            raise InputError(
                f"No two of these {len(labels)} labels share a composition within {LIMIT} eV/atom. "
                "Label moved copies."
            )
        energy = crystals.values[ABOVE_LOWEST]
        return {
            **dao_g.RECIPE.configure(crystals),
            "recipe": self.name,
            "kind": self.kind,
            "family": "diffusion",
            "encoder": {"name": "cspnet", "hidden": 128, "layers": 4, "frequencies": 32},
            "loss_weights": {"lattice": 1.0, "frac_coords": 1.0, "energy": ENERGY_WEIGHT},
            "energy": {
                "loss": "linex",
                "limit": LIMIT,
                "mean": round(float(energy.mean()), 6),
                "std": round(float(energy.std()), 6),
            },
        }

    def load_data(self, path: Path) -> Labels:
        return Labels.load(path)

    def task(
        self,
        model: GenerativeModel,
        config: Config,
        data: Labels,
        settings: TrainSettings,
        device: torch.device,
        validation: Labels | None = None,
    ) -> Task:
        return noisy_energy_task(model, data, settings, device, validation)

    def network(self, model: GenerativeModel) -> nn.Module:
        return model.denoiser

    def guiding(self, config: Config, sampler: Config) -> dict[str, Any]:
        return merge(config, noise_of(sampler), self.optional)


def noise_of(sampler: Config) -> dict[str, Any]:
    """What a config must take over from a sampler's, so that its energies belong to the sampler's
    noisy states.

    Raises:
        InputError: If the sampler generates species.
    """
    if "species" in sampler["loss_weights"]:
        raise InputError(
            f"{sampler['recipe']} generates species; energies of noisy states need samplers of "
            "given compositions."
        )
    names = ("lattice", "lattice_target", "centred", "loss_weights")
    return {
        "family": "diffusion",
        **{n: sampler[n] for n in (*names, "family", "processes") if n in sampler},
    }


RECIPE = DaoPNoisy()
