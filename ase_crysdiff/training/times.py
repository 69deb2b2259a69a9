"""Times at which denoisers are trained."""

import torch

from ase_crysdiff.constants import TRAINED_STEPS
from ase_crysdiff.shapes import Tensor


def stratified_times(count: int, generator: torch.Generator) -> Tensor:
    """Stratified times on the grid k/1000, k = 1 … 1000: each is uniform on it, as independent
    draws are, and a batch covers it evenly, so that the loss varies less from batch to batch.

    Args:
        count: How many.
        generator: Source of the offset and of the order.

    Returns:
        Times in (0, 1], float64, shape (count,).
    """
    offset = torch.rand(1, generator=generator, device=generator.device)
    strata = (torch.arange(count, device=generator.device) + offset) / count
    k = torch.floor(strata * TRAINED_STEPS).long().clamp_max(TRAINED_STEPS - 1) + 1
    order = torch.randperm(count, generator=generator, device=generator.device)
    return k[order].double() / TRAINED_STEPS
