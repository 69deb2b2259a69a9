"""Training of generative models."""

from pathlib import Path

import torch
from lightning.fabric import Fabric

from ase_crysdiff.data.buckets import BucketedCrystals
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.objective import DenoisingObjective
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task


class Trainer(Loop):
    """Trains the denoiser of a model.

    Args:
        model: What to train; its weights are changed in place.
        data: Training crystals.
        folder: Where checkpoints and the log go.
        settings: The knobs.
        fabric: A launched Fabric; brings device and processes.
        validation: Crystals for the validation loss.

    Raises:
        InputError: If the model can hold none of the crystals.
    """

    def __init__(
        self,
        model: GenerativeModel,
        data: PackedCrystals,
        folder: Path,
        settings: TrainSettings,
        fabric: Fabric,
        validation: PackedCrystals | None = None,
    ) -> None:
        self.model = model
        space, device = model.state_space, fabric.device
        training = BucketedCrystals(data, space, settings.batch_size, settings.max_pairs, device)
        if not len(training):
            raise InputError(f"No training crystal has at most {space.max_atoms} atoms.")
        held_out = (
            None
            if validation is None
            else BucketedCrystals(validation, space, 256, settings.max_pairs, device)
        )
        model.denoiser.encoder.products = getattr(torch, settings.precision)
        task = Task(model.denoiser, model.config, training, DenoisingObjective(model), held_out)
        super().__init__(task, folder, settings, fabric)
