"""Sinusoidal embeddings of time and of fractional differences."""

import math

import torch

from ase_crysdiff.constants import TRAINED_STEPS
from ase_crysdiff.shapes import Float, Tensor


def time_embedding(
    t: Float[Tensor, " crystals"], width: int = 256
) -> Float[Tensor, "crystals width"]:
    """Sines, then cosines, of the step k = 1000 t at geometric frequencies. Source: DiffCSP
    (code).
    """
    half = width // 2
    frequencies = torch.exp(
        torch.arange(half, device=t.device, dtype=t.dtype) * (-math.log(10000) / (half - 1))
    )
    angles = (t * TRAINED_STEPS)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)


def fourier_features(
    difference: Float[Tensor, "*rows 3"], frequencies: int
) -> tuple[Float[Tensor, "*rows features"], Float[Tensor, "*rows features"]]:
    """Sines and cosines of 2πk δ for k = 0 … frequencies - 1, axis by axis.

    Integer frequencies make them exactly periodic in δ. Source: Jiao et al. 2023 (DiffCSP),
    equation 11.
    """
    k = torch.arange(frequencies, device=difference.device, dtype=difference.dtype)
    angles = (difference.unsqueeze(-1) * (2 * math.pi * k)).flatten(-2)
    return angles.sin(), angles.cos()
