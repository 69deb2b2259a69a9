"""DAO-G and DiffCSP: the crystal structure of a given composition. MiAD without its species
component.

Source: Jiao et al. 2023 (DiffCSP) for the processes and CSPNet; DAO (GLAD-RUC 2025) uses them
unchanged. The lattice is the six
standardised numbers of `LatticePolar`, of which the network predicts the velocity, in place of the
papers' raw matrix and noise; `RECIPE.published(data)` gives theirs.
"""

from typing import Any

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.statistics import elements, lattice_statistics, size_histogram
from ase_crysdiff.models.building import build_model
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.training.denoising import GenerativeRecipe


class DaoG(GenerativeRecipe):
    """Diffusion of lattice and coordinates for given species."""

    name = "dao-g"

    def build(self, config: Config) -> GenerativeModel:
        """The model of a config."""
        return build_model(config)

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config for a data set: its statistics and a network that a CPU can train."""
        return {
            "recipe": self.name,
            "state_space": {"name": "identity", "max_atoms": int(data.batch.num_atoms.max())},
            "lattice": {"name": "polar", **lattice_statistics(data)},
            "lattice_target": "velocity",
            "encoder": {"name": "cspnet", "hidden": 192, "layers": 5, "frequencies": 32},
            "loss_weights": {"lattice": 1.0, "frac_coords": 1.0},
            "centred": True,
            "sizes": size_histogram(data),
            "elements": elements(data),
        }

    def published(self, data: PackedCrystals) -> dict[str, Any]:
        """The network of DAO-G: Crysformer with 25.2 million parameters on the raw lattice
        matrix.
        """
        return {
            **self.configure(data),
            "lattice": {"name": "matrix"},
            "lattice_target": "noise",
            "stem": {"name": "element-table", "learned": 0},
            "encoder": {
                "name": "crysformer",
                "hidden": 384,
                "layers": 12,
                "heads": 8,
                "frequencies": 128,
                "joint_norm": True,
            },
            "centred": False,
        }


RECIPE = DaoG()
