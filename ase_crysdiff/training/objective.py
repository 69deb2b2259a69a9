"""What training minimises."""

from collections.abc import Callable

import torch

from ase_crysdiff.constants import TRAINED_STEPS
from ase_crysdiff.crystal.batch import CrystalBatch, Level
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.processes.joint import Prediction
from ase_crysdiff.randomness import GeneratorDraws
from ase_crysdiff.shapes import Tensor


class DenoisingObjective:
    """Noise at a random time, one per crystal, and the loss of every component's prediction.

    Args:
        model: State space, processes and loss weights. The network is passed to `loss`, because
            training wraps it.
    """

    def __init__(self, model: GenerativeModel) -> None:
        self.model = model

    def loss(
        self, denoiser: Callable[..., Prediction], batch: CrystalBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts, each a mean over rows.

        Args:
            denoiser: The network of the model, possibly wrapped.
            batch: Extended crystals of one size.
            generator: Source of times and noise.
        """
        space, joint = self.model.state_space, self.model.joint
        layout = batch.layout

        def draws(name: str, level: Level) -> GeneratorDraws:
            return GeneratorDraws(layout.rows(level), generator, layout.dtype)

        batch = space.refresh(batch, draws("mirage", "atom"))
        clean = joint.encode(batch)
        t = stratified_times(layout.num_crystals, generator).to(layout.dtype)
        state, target = joint.corrupt(clean, t, layout, draws)
        given = {} if "species" in joint.components else {"species": batch.species}
        prediction = denoiser(state, t, given, layout)
        losses = joint.loss(prediction, target, state, t, layout)
        parts = {name: self._mean(rows, batch, name) for name, rows in losses.items()}
        total = sum(joint.components[name].loss_weight * part for name, part in parts.items())
        assert isinstance(total, Tensor)
        return total, {name: part.detach() for name, part in parts.items()}

    def _mean(self, rows: Tensor, batch: CrystalBatch, component: str) -> Tensor:
        weights = self.model.state_space.loss_weights(batch, component)
        return rows.mean() if weights is None else (rows * weights).mean()


def stratified_times(count: int, generator: torch.Generator) -> Tensor:
    """Stratified times on the grid k = 1 … 1000: the same law as independent draws, less variance
    per batch.
    """
    offset = torch.rand(1, generator=generator, device=generator.device)
    strata = (torch.arange(count, device=generator.device) + offset) / count
    k = torch.floor(strata * TRAINED_STEPS).long().clamp_max(TRAINED_STEPS - 1) + 1
    order = torch.randperm(count, generator=generator, device=generator.device)
    return k[order].double() / TRAINED_STEPS
