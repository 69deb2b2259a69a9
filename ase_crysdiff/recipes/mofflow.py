"""MOFFlow: metal-organic frameworks from their rigid building blocks.

Source: Kim et al. 2025 (MOFFlow) for the task, the flows and their loss. Centres move on the torus
in place of space, the lattice is the six standardised numbers of `LatticePolar`, and the network is
a small one of our own, for a CPU.
"""

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from ase_crysdiff.data.frameworks import BucketedFrameworks, PackedFrameworks, statistics
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.models.frameworks import MOFFLOW, FrameworkModel, build_framework_model
from ase_crysdiff.models.recipe import Recipe
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.training.frameworks import AssemblyObjective
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task


class MofFlow(Recipe):
    """Flow matching of lattice, centres and rotations for given blocks."""

    name: ClassVar[str] = MOFFLOW
    kind: ClassVar[Kind] = Kind.SAMPLER

    def build(self, config: Config) -> FrameworkModel:
        return build_framework_model(config)

    def configure(self, data: PackedFrameworks) -> dict[str, Any]:
        """The default config for a data set: its statistics and a network that a CPU can train."""
        return {
            "recipe": self.name,
            "lattice": {"name": "polar", **LatticePolar.fit(data.batch.lattice)},
            "network": {"hidden": 80, "edges": 48, "layers": 3, "images": 12},
            "loss_weights": {"lattice": 1.0, "centres": 2.0, "rotations": 4.0},
            "max_blocks": 48,
            **statistics(data),
        }

    def load_data(self, path: Path) -> PackedFrameworks:
        """Frameworks cut into blocks.

        Raises:
            InputError: If the file is missing, damaged or holds something else.
        """
        return PackedFrameworks.load(path)

    def task(
        self,
        model: FrameworkModel,
        config: Config,
        data: PackedFrameworks,
        settings: TrainSettings,
        device: torch.device,
        validation: PackedFrameworks | None = None,
    ) -> Task:
        """Lattice, places and rotations told from noisy ones."""

        def batches(frameworks: PackedFrameworks) -> BucketedFrameworks:
            return BucketedFrameworks(
                frameworks,
                config["max_blocks"],
                settings.batch_size,
                settings.batch_atoms,
                device,
            )

        training = batches(data)
        if not len(training):
            raise InputError(f"No framework has at most {config['max_blocks']} blocks.")
        return Task(
            model.denoiser.network,
            config,
            training,
            AssemblyObjective(model),
            None if validation is None else batches(validation),
            {"data": data.digest},
        )

    def network(self, model: FrameworkModel) -> nn.Module:
        return model.denoiser.network


RECIPE = MofFlow()
