"""A denoiser that also knows how low in energy the crystals are that a noisy state may have come
from.
"""

from collections.abc import Collection, Mapping

from torch import nn

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.networks.base import Context, Denoiser, Encoder, Features, Head, Stem
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.processes.joint import NoisyState, Prediction
from ase_crysdiff.shapes import Float, Tensor

#: Key of the energy in predictions, beside the components.
ENERGY = "energy"


class EnergyDenoiser(Denoiser):
    """A denoiser with one more head: the energy E_t of a noisy state, per atom, from the features
    of the crystal.

    The z-scores in which the head works do not leave it. Like the features, the energy belongs to
    one choice of the cell, and it is not extensive: it steers generation and is no potential.

    Args:
        stem: Noisy components to node inputs.
        encoder: Node inputs to features.
        heads: One per component.
        centred: Components whose predictions have no mean over the atoms of a crystal.
        mean: Of the training energies, eV/atom.
        std: Their standard deviation, eV/atom.

    Source: DAO (GLAD-RUC 2025), DAO-P: code for the head.
    """

    def __init__(
        self,
        stem: Stem,
        encoder: Encoder,
        heads: Mapping[str, Head],
        centred: Collection[str] = (),
        *,
        mean: float,
        std: float,
    ) -> None:
        super().__init__(stem, encoder, heads, centred)
        self.mean, self.std = mean, std
        self.readout = nn.Sequential(
            Linear(encoder.hidden, encoder.hidden), nn.SiLU(), Linear(encoder.hidden, 1)
        )

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> Prediction:
        """Predictions per component, and the energy in eV/atom under `energy`."""
        features = self.encoder(self.stem(state, t, context, layout))
        return {**self.predictions(features, state, layout), ENERGY: self._energy(features)}

    def energy(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> Float[Tensor, " crystals"]:
        """The energy alone, eV/atom."""
        return self._energy(self.encoder(self.stem(state, t, context, layout)))

    def _energy(self, features: Features) -> Float[Tensor, " crystals"]:
        return self.mean + self.std * self.readout(features.crystals).squeeze(-1)
