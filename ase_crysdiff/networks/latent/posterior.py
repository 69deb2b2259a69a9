"""The head of a variational autoencoder: features become a normal distribution over latents."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.shapes import Float, Tensor

#: Limits of the log variance, beyond which its exponential is of no use.
_LOG_VARIANCES = (-30.0, 20.0)


class Posterior(NamedTuple):
    """An independent normal for every number of every atom's latent.

    Args:
        mean: Shape (atoms, latent).
        log_variance: Shape (atoms, latent).
    """

    mean: Float[Tensor, "atoms latent"]
    log_variance: Float[Tensor, "atoms latent"]

    def sample(self, noise: Float[Tensor, "atoms latent"]) -> Float[Tensor, "atoms latent"]:
        """A draw, differentiable in mean and variance, made of unit normal noise."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def divergence(self) -> Float[Tensor, " atoms"]:
        """Kullback-Leibler divergence of every atom's latent from the unit normal, a sum over the
        latent's numbers.

        Source: Kingma & Welling 2014, appendix B.
        """
        terms = self.mean**2 + torch.exp(self.log_variance) - 1 - self.log_variance
        return 0.5 * terms.sum(-1)


class PosteriorHead(nn.Module):
    """A linear map to mean and log variance.

    The mean is what a flow is taught on and what decoders read, so both parts of the pretraining
    see one latent. Normalised, it cannot win against the flow's noise by growing, nor please the
    flow by shrinking.

    Args:
        hidden: Width of the features.
        width: Width of the latent.
        normalised: Whether means have zero mean and unit variance over the numbers of each latent;
            the published ones have not.

    Source: CrysLDNet (2026), stage 1, for map and limits. There the flow is taught on the features
    themselves.
    """

    def __init__(self, hidden: int, width: int, normalised: bool = True) -> None:
        super().__init__()
        self.width, self.normalised = width, normalised
        self.linear = Linear(hidden, 2 * width, bias=False)

    def forward(self, features: Float[Tensor, "atoms hidden"]) -> Posterior:
        mean, log_variance = self.linear(features).chunk(2, -1)
        if self.normalised:
            mean = functional.layer_norm(mean, (self.width,))
        return Posterior(mean, log_variance.clamp(*_LOG_VARIANCES))
