"""Elements for known arrangements, each by its probability given the others: how the prototypes of
`StructureSampler("prototypes")` get new elements.

Source: masked models of sets, see `networks.site_elements.network`. Hautier et al. 2011 for the
task, with one probability for each pair of ions, wherever they are.
"""

from typing import Any, ClassVar

import torch

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.part_crystals import PartCrystals
from ase_crysdiff.data.statistics import elements
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.networks.site_elements.network import SiteElements
from ase_crysdiff.training.scaffolds import ScaffoldRecipe
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.site_elements import SiteElementsObjective
from ase_crysdiff.training.task import Task


class SiteElementsRecipe(ScaffoldRecipe):
    """The probability of the element of each part of a crystal, given the others."""

    name: ClassVar[str] = "site-elements"
    kind: ClassVar[Kind] = Kind.ELEMENTS
    architecture = SiteElements

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config for a data set."""
        return {
            "recipe": self.name,
            "kind": self.kind,
            "network": {"hidden": 96, "layers": 4, "heads": 4, "pair": 32, "dropout": 0.1},
            "max_sites": 24,
            "max_parts": 8,
            "elements": elements(data),
        }

    def task(
        self,
        model: SiteElements,
        config: Config,
        data: PackedCrystals,
        settings: TrainSettings,
        device: torch.device,
        validation: PackedCrystals | None = None,
    ) -> Task:
        """Hidden elements told from the others."""
        size = settings.batch_size
        sets = [
            None
            if crystals is None
            else PartCrystals(crystals, config["max_sites"], config["max_parts"], size, device)
            for crystals in (data, validation)
        ]
        assert sets[0] is not None
        if not len(sets[0]):
            raise InputError(
                f"None of the {len(data)} crystals has two elements or more on at most "
                f"{config['max_sites']} sites."
            )
        inputs = {"data": data.digest}
        return Task(model, config, sets[0], SiteElementsObjective(), sets[1], inputs)


RECIPE = SiteElementsRecipe()
