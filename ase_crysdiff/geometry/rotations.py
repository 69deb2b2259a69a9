"""Rotations of space as unit quaternions (w, x, y, z), with w ≥ 0: of the two that stand for a
rotation, the one of the shorter way from no rotation.

Rotation vectors are axis times angle, in radians, at most π long. A rotation R turns column vectors
x into R x, rows y into y Rᵀ.
"""

import torch

from ase_crysdiff.shapes import Float, Tensor

#: Below this sine of half an angle its series is exact to rounding.
_SMALL = 1e-4


def canonical(q: Float[Tensor, "*rows 4"]) -> Float[Tensor, "*rows 4"]:
    """The quaternion of unit length with w ≥ 0 for the same rotation."""
    q = q / torch.linalg.vector_norm(q, dim=-1, keepdim=True)
    return torch.where(q[..., :1] < 0, -q, q)


def multiply(p: Float[Tensor, "*rows 4"], q: Float[Tensor, "*rows 4"]) -> Float[Tensor, "*rows 4"]:
    """The rotation q, then p."""
    (a, u), (b, v) = (p[..., :1], p[..., 1:]), (q[..., :1], q[..., 1:])
    w = a * b - (u * v).sum(-1, keepdim=True)
    return torch.cat([w, a * v + b * u + torch.linalg.cross(u, v)], -1)


def inverse(q: Float[Tensor, "*rows 4"]) -> Float[Tensor, "*rows 4"]:
    """The rotation back."""
    return torch.cat([q[..., :1], -q[..., 1:]], -1)


def exp(vector: Float[Tensor, "*rows 3"]) -> Float[Tensor, "*rows 4"]:
    """The rotation about a vector by its length in radians."""
    half = torch.linalg.vector_norm(vector, dim=-1, keepdim=True) / 2
    # sin(h)/h by its series near 0, where the quotient loses its meaning.
    sinc = torch.where(half < _SMALL, 1 - half**2 / 6, half.sin() / half.clamp_min(_SMALL))
    return canonical(torch.cat([half.cos(), sinc * vector / 2], -1))


def log(q: Float[Tensor, "*rows 4"]) -> Float[Tensor, "*rows 3"]:
    """The shortest rotation vector of a rotation; inverts `exp` for angles below π."""
    q = canonical(q)
    w, v = q[..., :1], q[..., 1:]
    sine = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, w)
    # angle/sine by its series near 0.
    factor = torch.where(sine < _SMALL, 2 + sine**2 / 3, angle / sine.clamp_min(_SMALL))
    return factor * v


def angle(q: Float[Tensor, "*rows 4"]) -> Float[Tensor, "*rows"]:
    """By how much a rotation turns, 0 to π."""
    return 2 * torch.atan2(torch.linalg.vector_norm(q[..., 1:], dim=-1), q[..., 0].abs())


def to_matrix(q: Float[Tensor, "*rows 4"]) -> Float[Tensor, "*rows 3 3"]:
    """The matrices of rotations."""
    w, x, y, z = q.unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def from_matrix(matrix: Float[Tensor, "*rows 3 3"]) -> Float[Tensor, "*rows 4"]:
    """The rotations of orthogonal matrices of determinant 1.

    Of the four numbers the largest is taken from the diagonal, the others by dividing by it, so
    that nothing is divided by a small number. Source: Shepperd 1978.
    """
    m = matrix
    d0, d1, d2 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = torch.stack([1 + d0 + d1 + d2, 1 + d0 - d1 - d2, 1 - d0 + d1 - d2, 1 - d0 - d1 + d2])
    wx, wy, wz = (m[..., i, j] - m[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    xy, xz, yz = (m[..., i, j] + m[..., j, i] for i, j in ((1, 0), (2, 0), (2, 1)))
    ways = torch.stack(
        [
            torch.stack([squares[0], wx, wy, wz], -1),
            torch.stack([wx, squares[1], xy, xz], -1),
            torch.stack([wy, xy, squares[2], yz], -1),
            torch.stack([wz, xz, yz, squares[3]], -1),
        ]
    )
    best = squares.argmax(0)
    return canonical(torch.gather(ways, 0, best[None, ..., None].expand(1, *ways.shape[1:]))[0])


def from_two_vectors(
    first: Float[Tensor, "*rows 3"], second: Float[Tensor, "*rows 3"]
) -> Float[Tensor, "*rows 3 3"]:
    """The matrix whose first column points along the first vector and whose second lies in the
    plane of both: a smooth way to write rotations as six numbers. Source: Zhou et al. 2019.
    """
    tiny = torch.finfo(first.dtype).eps
    x = first / torch.linalg.vector_norm(first, dim=-1, keepdim=True).clamp_min(tiny)
    y = second - (x * second).sum(-1, keepdim=True) * x
    y = y / torch.linalg.vector_norm(y, dim=-1, keepdim=True).clamp_min(tiny)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)
