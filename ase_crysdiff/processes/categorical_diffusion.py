"""Diffusion on a finite set of classes."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.errors import InputError
from ase_crysdiff.processes.base import Process
from ase_crysdiff.processes.classes import log_probabilities, pick, product_of_powers
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.schedules.noise import CosineSurvival
from ase_crysdiff.shapes import Float, Int, Tensor

KERNELS = ("exact", "published")


class CategoricalDiffusion(Process[Tensor]):
    """With probability 1 - ā a class has been redrawn from the prior: q(x_t | x_0) = ā δ(x_0) + (1
    - ā) π.

    The transition matrices are identity plus rank one, so posteriors need no matrices: O(K) per
    row.

    Kernels
    - `exact` mixes the posteriors q(x_s | x_t, a) with the weights p(a | x_t): fed the true p it
      reproduces the data exactly, and a shift of the logits is exact guidance. Trained with the
      cross-entropy of the clean class.
    - `published` mixes before normalising (Austin et al. 2021, equation 4; MiAD's code), which
      resists change; fed the true p it does not return the data's distribution. Trained with MiAD's
      loss, 1000 KL with 1e-4 inside the logarithms. Authors' weights need it; its `clean` is the
      softmax of logits that mean something else than p(x_0 | x_t).

    Args:
        width: Number of classes.
        schedule: Survival probability ā as a function of time.
        prior_weights: Prior π, one positive number per class; None means uniform (the published
            choice).
        kernel: `exact` or `published`.
    """

    def __init__(
        self,
        width: int,
        schedule: CosineSurvival,
        prior_weights: Sequence[float] | None = None,
        kernel: str = "exact",
    ) -> None:
        if kernel not in KERNELS:
            raise InputError(f"kernel must be one of {(*KERNELS, 'hidden')}, got {kernel!r}.")
        weights = [1.0] * width if prior_weights is None else list(prior_weights)
        if len(weights) != width or min(weights) <= 0:
            raise InputError(
                f"The prior needs {width} positive weights, got {len(weights)}, smallest "
                f"{min(weights)}."
            )
        self.width = width
        self.schedule = schedule
        self.kernel = kernel
        total = sum(weights)
        self._prior = torch.tensor([w / total for w in weights], dtype=torch.float32)

    def prior(self, rng: RandomStream) -> Int[Tensor, " rows"]:
        uniform = rng.uniform(1)
        return pick(self._weights(uniform).expand(len(uniform), -1), uniform)

    def corrupt(self, clean: Tensor, t: Tensor, rng: RandomStream) -> tuple[Tensor, Tensor]:
        zero = torch.zeros_like(t)
        return self.renoise(clean, zero, t, rng), clean

    def renoise(self, value: Tensor, s: Tensor, t: Tensor, rng: RandomStream) -> Tensor:
        kept = self.schedule.survival(t) / self.schedule.survival(s)
        uniform = rng.uniform(2)
        redrawn = pick(self._weights(uniform).expand(len(uniform), -1), uniform[:, :1])
        return torch.where(uniform[:, 1] < kept, value, redrawn)

    def clean(self, value: Tensor, prediction: Tensor, t: Tensor) -> Float[Tensor, "rows width"]:
        """The network's logits: logarithms of class probabilities up to one number per row."""
        return prediction

    def from_clean(self, value: Tensor, clean: Tensor, t: Tensor) -> Float[Tensor, "rows width"]:
        """Logits from logarithms of probabilities; a class index is taken as certain."""
        return log_probabilities(clean, self.width, t)

    def reverse(
        self, value: Tensor, prediction: Tensor, t: Tensor, s: Tensor, rng: RandomStream
    ) -> Tensor:
        probabilities = self.posterior(value, torch.softmax(prediction, -1), t, s)
        return pick(probabilities, rng.uniform(1))

    def posterior(
        self,
        value: Int[Tensor, " rows"],
        clean: Float[Tensor, "rows width"],
        t: Float[Tensor, " rows"],
        s: Float[Tensor, " rows"],
    ) -> Float[Tensor, "rows width"]:
        """p(x_s | x_t) for class probabilities `clean` of x_0; every row sums to 1."""
        prior = self._weights(clean)
        survival_s, survival_t = (
            self.schedule.survival(s)[:, None],
            self.schedule.survival(t)[:, None],
        )
        kept = survival_t / survival_s
        here = functional.one_hot(value, self.width).to(clean.dtype)
        arrive = prior[value][:, None]
        step = kept * here + (1 - kept) * arrive  # q(x_t | x_s), as a function of x_s
        if self.kernel == "exact":
            clean = clean / (survival_t * here + (1 - survival_t) * arrive)
        origin = survival_s * clean + (1 - survival_s) * prior * clean.sum(-1, keepdim=True)
        joint = step * origin
        return joint / joint.sum(-1, keepdim=True)

    def blend(self, first: Tensor, second: Tensor, weight: float) -> Tensor:
        return product_of_powers(first, second, weight)

    def loss(
        self, prediction: Tensor, target: Tensor, value: Tensor, t: Tensor
    ) -> Float[Tensor, " rows"]:
        if self.kernel == "exact":
            return functional.cross_entropy(prediction, target, reduction="none")
        s = (t - 1 / 1000).clamp_min(0)
        true = self.posterior(
            value, functional.one_hot(target, self.width).to(prediction.dtype), t, s
        )
        predicted = self.posterior(value, torch.softmax(prediction, -1), t, s)
        return 1000 * (true * ((true + 1e-4).log() - (predicted + 1e-4).log())).sum(-1)

    def _weights(self, like: Tensor) -> Tensor:
        return self._prior.to(device=like.device, dtype=like.dtype)


def make(
    width: int = NUM_SPECIES, prior: Sequence[float] | None = None, kernel: str = "exact"
) -> CategoricalDiffusion:
    """The process of a config, under the survival probabilities of MiAD.

    Args:
        width: Number of classes.
        prior: One positive number per class; None means uniform. Without meaning for `hidden`.
        kernel: `exact`, `published`, or `hidden` for `hidden_classes.HiddenClasses`.

    Raises:
        InputError: If the kernel is not known, or the prior is none.
    """
    if kernel == "hidden":
        from ase_crysdiff.processes.hidden_classes import HiddenClasses

        return HiddenClasses(width, CosineSurvival())
    return CategoricalDiffusion(width, CosineSurvival(), prior, kernel)
