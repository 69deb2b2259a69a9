"""MiAD: de novo crystals whose number of atoms is found while sampling.

Source: Okhotin et al. 2025, "MiAD: Mirage Atom Diffusion for De Novo Crystal Generation", arXiv
2511.14426.

Where the shipped model differs from the paper, and why: the lattice is the six standardised numbers
of `LatticePolar` and its network predicts the velocity, the species start from the frequencies of
the training data and follow the exact kernel. All three make the prior resemble real crystals, so
that a small network needs fewer steps. `RECIPE.published(data)` gives the paper's.
"""

from typing import Any

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.statistics import elements, lattice_statistics, size_histogram, species_prior
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.parts import (
    SPACES,
    coordinate_component,
    lattice_component,
    make_encoder,
    part,
    species_component,
)
from ase_crysdiff.networks.assembly import denoiser_for
from ase_crysdiff.processes.joint import JointProcess
from ase_crysdiff.training.denoising import GenerativeRecipe

SLOTS = 25
MAX_ATOMS = 20


class Miad(GenerativeRecipe):
    """Diffusion of lattice, coordinates and species, with rows that may turn out to be vacant."""

    name = "miad"

    def build(self, config: Config) -> GenerativeModel:
        """The model of a config."""
        joint = JointProcess(
            lattice_component(config), coordinate_component(config), species_component(config)
        )
        space = part(SPACES, config["state_space"], "state space")
        return GenerativeModel(space, joint, denoiser_for(joint, make_encoder(config)), config)

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config for a data set: its statistics and a network that a CPU can train."""
        return {
            "recipe": self.name,
            "state_space": {"name": "mirage", "slots": SLOTS, "max_atoms": MAX_ATOMS},
            "lattice": {"name": "polar", **lattice_statistics(data)},
            "lattice_target": "velocity",
            "species": {"kernel": "exact", "prior": species_prior(data, SLOTS)},
            "encoder": {"name": "cspnet", "hidden": 128, "layers": 4, "frequencies": 32},
            "loss_weights": {"lattice": 1.0, "frac_coords": 1.0, "species": 1.0},
            "sizes": size_histogram(data),
            "elements": elements(data),
        }

    def published(self, data: PackedCrystals) -> dict[str, Any]:
        """The paper's model: raw lattice matrix, uniform species prior, the authors' kernel, 12.3
        million parameters.
        """
        return {
            **self.configure(data),
            "lattice": {"name": "matrix"},
            "lattice_target": "noise",
            "species": {"kernel": "published", "prior": None},
            "encoder": {"name": "cspnet", "hidden": 512, "layers": 6, "frequencies": 128},
        }


RECIPE = Miad()
