"""A backbone with what pretraining puts around it: a latent, decoders, and a denoiser of
latents.
"""

from typing import NamedTuple

from torch import nn

from ase_crysdiff.networks.base import Backbone
from ase_crysdiff.networks.graph import CrystalGraph
from ase_crysdiff.networks.latent.decoders import Decoded, Decoders
from ase_crysdiff.networks.latent.dit import DiT
from ase_crysdiff.networks.latent.posterior import Posterior, PosteriorHead
from ase_crysdiff.processes.latent_flow import LatentFlow
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.shapes import Float, Tensor


class Denoised(NamedTuple):
    """What the denoiser made of noisy latents.

    Args:
        noisy: What it was given, shape (atoms, latent).
        estimate: Its estimate of the clean latents.
        target: The clean latents.
    """

    noisy: Float[Tensor, "atoms latent"]
    estimate: Float[Tensor, "atoms latent"]
    target: Float[Tensor, "atoms latent"]


class LatentOutput(NamedTuple):
    """One pass through the parts that a network has.

    Args:
        posterior: Latents of all atoms.
        decoded: From a draw of the latents; None without decoders.
        denoised: From the latents' means under noise; None without a denoiser.
    """

    posterior: Posterior
    decoded: Decoded | None
    denoised: Denoised | None


class CrysLDNet(nn.Module):
    """Crystals to latents, and back to crystals, and through noise back to latents.

    With `detached` the denoiser's target is a constant: otherwise an encoder that gives all atoms
    the same latent is a perfect solution. The gradient still reaches the encoder through the noisy
    latents, which it can make easier to tell apart.

    Args:
        backbone: What is pretrained.
        posterior: Features to latents.
        decoders: Absent where only the flow is trained.
        denoiser: Absent where only the autoencoder is trained.
        detached: Whether the flow's target passes no gradient; the published one does.

    Source: CrysLDNet (2026).
    """

    def __init__(
        self,
        backbone: Backbone,
        posterior: PosteriorHead,
        decoders: Decoders | None,
        denoiser: DiT | None,
        detached: bool = True,
    ) -> None:
        super().__init__()
        self.detached, self.flow = detached, LatentFlow(posterior.width)
        self.backbone, self.posterior = backbone, posterior
        self.decoders, self.denoiser = decoders, denoiser

    def forward(
        self, graph: CrystalGraph, t: Float[Tensor, " crystals"], rng: RandomStream
    ) -> LatentOutput:
        """One pass.

        Args:
            graph: Crystals, some elements of which may be masked.
            t: Time of each crystal's noise, 0 = data.
            rng: Random numbers for every atom.
        """
        posterior: Posterior = self.posterior(self.backbone(graph).nodes)
        decoded = denoised = None
        if self.decoders is not None:
            decoded = self.decoders(
                posterior.sample(rng.normal(self.posterior.width)), graph.crystals.num_atoms
            )
        if self.denoiser is not None:
            layout = graph.crystals.layout
            noisy, target = self.flow.corrupt(posterior.mean, layout.broadcast(t, "atom"), rng)
            denoised = Denoised(
                noisy, self.denoiser(noisy, t, layout), target.detach() if self.detached else target
            )
        return LatentOutput(posterior, decoded, denoised)
