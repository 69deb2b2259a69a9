"""Space groups and sites from a model: the discrete half of a crystal.

Source: Kazeev et al. 2025 (WyFormer), Cao et al. 2024 (CrystalFormer); see
`networks.scaffolds.autoregressive` for what is done differently.
"""

from typing import Any, ClassVar

import torch

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.property_columns import declare
from ase_crysdiff.data.scaffold_sequences import ScaffoldSequences
from ase_crysdiff.data.statistics import elements, size_histogram
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.symmetry.decisions import ENERGY_ABOVE_HULL
from ase_crysdiff.training.scaffolds import ScaffoldObjective, ScaffoldRecipe
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task

#: The values of a data set that scaffolds are conditioned on, eV/atom.
_HULL = "e_above_hull"


class Wyckoff(ScaffoldRecipe):
    """The probability of space group and sites for a composition."""

    name: ClassVar[str] = "wyckoff"
    kind: ClassVar[Kind] = Kind.SAMPLER
    architecture = ScaffoldModel

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config for a data set."""
        return {
            "recipe": self.name,
            "network": {"hidden": 128, "layers": 4, "heads": 4, "dropout": 0.2},
            "max_sites": 32,
            "max_atoms": int(data.batch.num_atoms.max()),
            "sizes": size_histogram(data),
            "elements": elements(data),
            "properties": _declared(data),
        }

    def task(
        self,
        model: ScaffoldModel,
        config: Config,
        data: PackedCrystals,
        settings: TrainSettings,
        device: torch.device,
        validation: PackedCrystals | None = None,
    ) -> Task:
        """Maximum likelihood of the scaffolds."""

        def sequences(crystals: PackedCrystals) -> ScaffoldSequences:
            assert crystals.scaffolds is not None
            hull = crystals.values.get(_HULL)
            limit = config["max_sites"]
            return ScaffoldSequences(crystals.scaffolds, hull, limit, settings.batch_size, device)

        return Task(
            model,
            config,
            sequences(data),
            ScaffoldObjective(),
            None if validation is None else sequences(validation),
            {"data": data.digest},
        )


def _declared(data: PackedCrystals) -> dict[str, Any]:
    """The declaration of what scaffolds are conditioned on, where it is known of any crystal."""
    if _HULL not in data.values or not data.values[_HULL].isfinite().any():
        return {}
    found = declare(data, [ENERGY_ABOVE_HULL])
    return {name: one.as_plain() for name, one in found.items()}


RECIPE = Wyckoff()
