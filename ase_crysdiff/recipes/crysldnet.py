"""CrysLDNet: a backbone pretrained by autoencoding crystals and by flow matching of their latents.

Source: CrysLDNet (2026). There the autoencoder comes first and the flow second; here both are
trained at once by default, on one pass through the backbone, and the published order is two runs:
`"stage": "vae"`, then `"stage": "flow"` with `--from`.
"""

from typing import Any

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.statistics import elements, size_histogram
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.parts import part
from ase_crysdiff.networks.latent.crysldnet import CrysLDNet
from ase_crysdiff.networks.latent.decoders import GEOMETRY_DECODERS, Decoders
from ase_crysdiff.networks.latent.dit import DiT
from ase_crysdiff.networks.latent.posterior import PosteriorHead
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.training.pretraining import CrysLDNetObjective, PretrainingRecipe

#: Which parts a stage trains.
STAGES = ("vae", "flow", "both")


class CrysLDNetRecipe(PretrainingRecipe):
    """Autoencoding with masked elements, flow matching of latents, or both."""

    name = "crysldnet"

    def build(self, config: Config) -> CrysLDNet:
        """The network of a config: decoders unless the stage is `flow`, a denoiser unless it is
        `vae`.

        Raises:
            InputError: If a name or an argument is not known.
        """
        stage, latent = config["stage"], config["latent"]
        if stage not in STAGES:
            raise InputError(f"stage must be one of {STAGES}, got {stage!r}.")
        backbone = make_backbone(config["backbone"])
        posterior = PosteriorHead(backbone.hidden, latent["width"], latent["normalised"])
        decoders = denoiser = None
        if stage != "flow":
            geometry = part(GEOMETRY_DECODERS, config["decoder"], "decoder", latent=latent["width"])
            decoders = Decoders(latent["width"], geometry)
        if stage != "vae":
            denoiser = part({"dit": DiT}, config["denoiser"], "denoiser", latent=latent["width"])
        return CrysLDNet(backbone, posterior, decoders, denoiser, latent["detached"])

    def objective(self, network: CrysLDNet, config: Config) -> CrysLDNetObjective:
        """What such a network is trained for."""
        return CrysLDNetObjective(network, config["loss_weights"], config["masked"])

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config: both parts at once, and a network that a CPU can train."""
        return {
            "recipe": self.name,
            "kind": self.kind,
            "stage": "both",
            "backbone": dict(self.backbone),
            "latent": {"width": 64, "normalised": True, "detached": True},
            "decoder": {"name": "invariants"},
            "denoiser": {"name": "dit", "width": 128, "layers": 4, "heads": 4},
            "masked": 0.3,
            "loss_weights": {
                "elements": 1.0,
                "geometry": 1.0,
                "divergence": 1e-5,
                "flow": 0.2,
                "spread": 1.0,
            },
            "elements": elements(data),
            "sizes": size_histogram(data),
        }

    def published(self, data: PackedCrystals) -> dict[str, Any]:
        """The paper's sizes, targets and decoders. Its flow collapses the latents, see the
        explanation of pretraining.
        """
        return {
            **self.configure(data),
            "stage": "vae",
            "latent": {"width": 256, "normalised": False, "detached": False},
            "loss_weights": {
                "elements": 1.0,
                "geometry": 1.0,
                "divergence": 1e-5,
                "flow": 1.0,
                "spread": 0.0,
            },
            "decoder": {"name": "published"},
            "denoiser": {"name": "dit", "width": 768, "layers": 12, "heads": 12, "positions": True},
        }


RECIPE = CrysLDNetRecipe()
