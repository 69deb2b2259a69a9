"""The normal distribution of a point in a periodic cell: sums over all images, in space or over the reciprocal lattice."""

import math

import torch

from ase_crysdiff.geometry.lattice import plane_spacings, volume
from ase_crysdiff.shapes import Float, Tensor

#: Above this share of the edge of a cube of the cell's volume, the sum over the reciprocal lattice is the shorter one.
_CROSSOVER = 0.35
#: Terms below exp(-REACH²/2) of the largest are left out.
_REACH = 6.5


def periodic_normal_slope(
    frac: Float[Tensor, "rows 3"], cell: Float[Tensor, "rows 3 3"], sigma: Float[Tensor, " rows"]
) -> Float[Tensor, "rows 3"]:
    """D = -∇ ln p of an isotropic normal around the origin, summed over all images; Cartesian, 1/Å.

    For σ far below the cell this is x/σ² of the nearest image; where several images count, the nearest one alone is biased, and
    for large σ the density is flat and d vanishes.

    Args:
        frac: Displacements, fractional.
        cell: Rows in Å.
        sigma: Å, above 0.
    """
    wide = sigma > _CROSSOVER * volume(cell) ** (1 / 3)
    slope = torch.empty_like(frac)
    for rows, method in ((~wide, _over_images), (wide, _over_waves)):
        if bool(rows.any()):
            slope[rows] = method(frac[rows], cell[rows], sigma[rows])
    return slope


def _over_images(frac: Tensor, cell: Tensor, sigma: Tensor) -> Tensor:
    """Softmax over images, so that no exponential underflows however small σ is."""
    reach = (0.5 + _REACH * sigma.unsqueeze(-1) / plane_spacings(cell)).ceil().amax(0)
    cells = _integers(reach, frac)
    vectors = (frac - torch.round(frac)).unsqueeze(1) @ cell + cells @ cell
    variance = (sigma**2).view(-1, 1)
    weights = torch.softmax(-(vectors**2).sum(-1) / (2 * variance), -1)
    mean: Tensor = (weights.unsqueeze(-1) * vectors).sum(1) / variance
    return mean


def _over_waves(frac: Tensor, cell: Tensor, sigma: Tensor) -> Tensor:
    """P V = Σ exp(-σ² G²/2) cos(G·x), Poisson's summation formula."""
    lengths = torch.linalg.vector_norm(cell, dim=-1)
    reach = (_REACH * lengths / (2 * math.pi * sigma.unsqueeze(-1))).ceil().amax(0)
    waves = _integers(reach, frac)
    vectors = 2 * math.pi * waves @ torch.linalg.inv(cell).transpose(-1, -2)
    phase = 2 * math.pi * frac @ waves.transpose(-1, -2)
    damping = torch.exp(-0.5 * (sigma**2).view(-1, 1) * (vectors**2).sum(-1))
    density = (damping * torch.cos(phase)).sum(-1, keepdim=True)
    gradient: Tensor = -((damping * torch.sin(phase)).unsqueeze(-1) * vectors).sum(1)
    return -gradient / density


def _integers(reach: Tensor, like: Tensor) -> Tensor:
    """All triples of whole numbers within -reach … reach."""
    ranges = [torch.arange(-int(r), int(r) + 1, device=like.device, dtype=like.dtype) for r in reach]
    return torch.cartesian_prod(*ranges)
