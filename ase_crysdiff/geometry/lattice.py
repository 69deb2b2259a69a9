"""Lattice maps. Rows are lattice vectors in Å; angles are in degrees; cartesian = frac @
lattice.
"""

import torch

from ase_crysdiff.shapes import Float, Tensor

#: Shifts to the 27 cells around the origin.
NEIGHBOUR_CELLS = torch.cartesian_prod(
    *[torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float32, device="cpu")] * 3
)


def from_parameters(
    lengths: Float[Tensor, "crystals 3"], angles: Float[Tensor, "crystals 3"]
) -> Float[Tensor, "crystals 3 3"]:
    """Lattice with c along +z and a in the xz plane.

    Source: the orientation of the DiffCSP family and of pymatgen (Jiao et al. 2023, code).
    """
    cos, sin = torch.cos(torch.deg2rad(angles)), torch.sin(torch.deg2rad(angles))
    (a, b, c), (ca, cb, cg), (sa, sb, _) = lengths.unbind(-1), cos.unbind(-1), sin.unbind(-1)
    cos_star = ((ca * cb - cg) / (sa * sb)).clamp(-1, 1)
    sin_star = torch.sqrt(1 - cos_star**2)
    zero = torch.zeros_like(a)
    rows = [
        torch.stack([a * sb, zero, a * cb], -1),
        torch.stack([-b * sa * cos_star, b * sa * sin_star, b * ca], -1),
        torch.stack([zero, zero, c], -1),
    ]
    return torch.stack(rows, -2)


def to_parameters(
    lattice: Float[Tensor, "crystals 3 3"],
) -> tuple[Float[Tensor, "crystals 3"], Float[Tensor, "crystals 3"]]:
    """Lengths (Å) and angles (degrees) of a lattice; handedness and orientation are lost."""
    lengths = torch.linalg.vector_norm(lattice, dim=-1)
    unit = lattice / lengths.unsqueeze(-1)
    pairs = [(1, 2), (0, 2), (0, 1)]
    cosines = torch.stack([(unit[..., i, :] * unit[..., j, :]).sum(-1) for i, j in pairs], -1)
    return lengths, torch.rad2deg(torch.arccos(cosines.clamp(-1, 1)))


def volume(lattice: Float[Tensor, "crystals 3 3"]) -> Float[Tensor, " crystals"]:
    """Cell volume in Å³, always positive."""
    return torch.linalg.det(lattice).abs()


def gram(lattice: Float[Tensor, "crystals 3 3"]) -> Float[Tensor, "crystals 3 3"]:
    """L Lᵀ, the scalar products of the lattice vectors: unchanged by a rotation of the crystal."""
    return lattice @ lattice.transpose(-1, -2)


def log_polar(lattice: Float[Tensor, "crystals 3 3"]) -> Float[Tensor, "crystals 6"]:
    """Six numbers k of S = ½ log(L Lᵀ), free of the crystal's orientation.

    k1-k3 shear, k4 and k5 stretch without changing the volume, exp(3 k6) is the volume.
    Source: Luo et al. 2025 (CrystalFlow), un-normalised basis.
    """
    eigenvalues, vectors = torch.linalg.eigh(gram(lattice))
    half_log = 0.5 * torch.log(eigenvalues.clamp_min(torch.finfo(lattice.dtype).tiny))
    s = (vectors * half_log.unsqueeze(-2)) @ vectors.transpose(-1, -2)
    s00, s11, s22 = s[..., 0, 0], s[..., 1, 1], s[..., 2, 2]
    return torch.stack(
        [
            s[..., 0, 1],
            s[..., 0, 2],
            s[..., 1, 2],
            (s00 - s11) / 2,
            (s00 + s11 - 2 * s22) / 6,
            (s00 + s11 + s22) / 3,
        ],
        -1,
    )


def from_log_polar(k: Float[Tensor, "crystals 6"]) -> Float[Tensor, "crystals 3 3"]:
    """The symmetric lattice exp(S) that `log_polar` maps to k; always of positive volume."""
    k1, k2, k3, k4, k5, k6 = k.unbind(-1)
    rows = [
        torch.stack([k4 + k5 + k6, k1, k2], -1),
        torch.stack([k1, -k4 + k5 + k6, k3], -1),
        torch.stack([k2, k3, -2 * k5 + k6], -1),
    ]
    exponent = torch.stack(rows, -2)
    # torch sums the series of a matrix alone in another order than those of several at once, which
    # would make crystals depend on the size of their batch.
    alone = len(exponent) == 1
    return torch.linalg.matrix_exp(exponent.repeat(2, 1, 1) if alone else exponent)[: len(exponent)]
