"""Training of denoisers that also predict the free energy E_t of a noisy state, for guidance along
a sampler's whole path.
"""

from collections.abc import Callable

import torch

from ase_crysdiff.crystal.batch import Level
from ase_crysdiff.data.energy_crystals import EnergyBatch, EnergyCrystals
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.networks.noisy_energy import ENERGY
from ase_crysdiff.processes.joint import Prediction
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.training.denoising import VALIDATION_BATCH
from ase_crysdiff.training.energy_losses import clamped_share, energy_loss
from ase_crysdiff.training.precision import set_products
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task
from ase_crysdiff.training.times import stratified_times

#: Share of the crystals that are shown as they are, at t = 0, where only their energy can be
#: learnt.
STILL = 0.1


class NoisyEnergyObjective:
    """Losses of all components plus that of the energy (mix-supervised), at a random time for each
    crystal.

    The energy loss works on z-scores, so the law that the energy tilts has b = 1/std, in
    1/(eV/atom).

    Args:
        model: Processes, loss weights and the entry `energy` of the config. The network is passed
            to `loss`.

    Source: DAO (GLAD-RUC 2025), DAO-P: losses, there with equal weights; time 0 is never drawn
    there, though it is used.
    """

    def __init__(self, model: GenerativeModel) -> None:
        self.model = model
        self.settings = model.config["energy"]
        self.weights = model.config["loss_weights"]

    def loss(
        self, denoiser: Callable[..., Prediction], batch: EnergyBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss, its parts, the mean error of the energy in eV/atom, and the share of clamped
        differences.

        Args:
            denoiser: The network of the model, possibly wrapped.
            batch: Crystals of one size and their energies.
            generator: Source of times and noise.
        """
        joint, layout = self.model.joint, batch.crystals.layout

        def rng(name: str, level: Level) -> GeneratorStream:
            return GeneratorStream(layout.rows(level), generator, layout.dtype)

        clean = joint.encode(batch.crystals)
        t = stratified_times(len(batch), generator).to(layout.dtype)
        still = torch.rand(len(batch), generator=generator, device=generator.device) < STILL
        noisy, target = joint.corrupt(clean, t, layout, rng)
        levels = {name: c.representation.level for name, c in joint.components.items()}
        state = {
            n: torch.where(layout.broadcast(still, levels[n])[:, None], clean[n], x)
            for n, x in noisy.items()
        }
        prediction = denoiser(
            state, t.masked_fill(still, 0.0), {"species": batch.crystals.species}, layout
        )
        losses = joint.loss(prediction, target, state, t, layout)
        parts = {
            n: (rows * ~layout.broadcast(still, levels[n])).mean() / (1 - STILL)
            for n, rows in losses.items()
        }
        mean, std = self.settings["mean"], self.settings["std"]
        found, wanted = (prediction[ENERGY] - mean) / std, (batch.energy - mean) / std
        parts[ENERGY] = energy_loss(self.settings["loss"], found, wanted).mean()
        total = sum(self.weights[name] * part for name, part in parts.items())
        assert isinstance(total, Tensor)
        parts |= {
            "error": std * (found - wanted).abs().mean(),
            "clamped": clamped_share(found - wanted),
        }
        return total, {name: part.detach() for name, part in parts.items()}


def noisy_energy_task(
    model: GenerativeModel,
    labels: Labels,
    settings: TrainSettings,
    device: torch.device,
    validation: Labels | None = None,
) -> Task:
    """The training of a denoiser that also tells the energy of noisy states.

    Args:
        model: Its denoiser's weights are changed in place.
        labels: Training configurations.
        settings: `batch_size`, `max_pairs` and `precision` count here.
        device: Where the batches live.
        validation: Configurations for the validation loss.

    Raises:
        InputError: If no configuration can be used.
    """
    limit, space = model.config["energy"]["limit"], model.state_space
    data = EnergyCrystals(labels, limit, space, settings.batch_size, settings.max_pairs, device)
    if not len(data):
        raise InputError(
            f"No configuration of at most {space.max_atoms} atoms can be used: energies are "
            "compared among configurations of "
            f"one composition, and none has a second one within {limit} eV/atom. Label moved "
            "copies: crysdiff label --help."
        )
    held_out = (
        None
        if validation is None
        else EnergyCrystals(validation, limit, space, VALIDATION_BATCH, settings.max_pairs, device)
    )
    set_products(model.denoiser.encoder, settings, device)
    objective = NoisyEnergyObjective(model)
    inputs = {"data": labels.digest}
    return Task(model.denoiser, model.config, data, objective, held_out, inputs)
