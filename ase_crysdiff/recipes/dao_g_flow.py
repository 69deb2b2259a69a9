"""DAO-G's task by flow matching: the crystal structure of a given composition in few steps.

Source: Miller et al. 2024 (FlowMM) for the flow on the torus and the removal of its mean; Luo et
al. 2025 (CrystalFlow) for the lattice numbers. Lattices start from the unit normal in standardised
numbers, which is the training set's own mean and spread.
"""

from typing import Any

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.recipes.dao_g import DaoG


class DaoGFlow(DaoG):
    """Flow matching of lattice and coordinates for given species."""

    name = "dao-g-flow"

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config for a data set. Torus velocities have a variance of 1/12 per axis,
        hence the weight of their loss.
        """
        return {
            **super().configure(data),
            "family": "flow",
            "loss_weights": {"lattice": 1.0, "frac_coords": 10.0},
        }


RECIPE = DaoGFlow()
