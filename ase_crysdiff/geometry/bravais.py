"""Random lattices of all fourteen Bravais types at a given volume."""

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.lattice import from_parameters
from ase_crysdiff.randomness import Streams
from ase_crysdiff.shapes import Float, Tensor

#: Rows of the primitive cell in terms of the conventional one.
_CENTRINGS = {
    "P": [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]],
    "I": [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]],
    "F": [[0.0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
    "C": [[0.5, 0.5, 0.0], [-0.5, 0.5, 0], [0, 0, 1]],
    "R": [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]],  # the rhombohedral cell itself
}
#: Pearson's letters of the system and the centring.
TYPES = ("cP", "cI", "cF", "tP", "tI", "oP", "oC", "oI", "oF", "hP", "hR", "mP", "mC", "aP")
#: Ratios of edges, and angles in degrees: random within these limits.
_RATIO, _OBLIQUE, _RHOMBOHEDRAL, _TRICLINIC = (
    (0.5, 1.5),
    (95.0, 115.0),
    (50.0, 100.0),
    (75.0, 105.0),
)


def random_lattice(kind: str, volume: float, seed: int, index: int) -> Float[Tensor, "3 3"]:
    """A primitive cell of a Bravais type.

    Edges stand to each other in ratios of 0.5 to 1.5. Source: the shapes of CHGGen (Materials
    Horizons 2025), which takes a grid of ratios and fixed angles; here both are random, and centred
    lattices are among them.

    Args:
        kind: One of `TYPES`.
        volume: Of the primitive cell, Å³.
        seed: Of the run.
        index: Of the lattice within the run.

    Returns:
        Rows in Å, double precision.

    Raises:
        InputError: If there is no such type, or the volume is not above 0.
    """
    if kind not in TYPES or not volume > 0:
        raise InputError(
            f"A lattice needs a type out of {', '.join(TYPES)} and a volume above 0 Å³, got "
            f"{kind!r} and {volume!r}."
        )
    rng = Streams(seed, (index,)).rng("bravais", 0, [1], torch.device("cpu"), torch.float64)
    u, v, *angles = rng.uniform(6)[0].tolist()
    lengths, degrees = _shape(kind, _within(u, _RATIO), _within(v, _RATIO), angles)
    conventional = from_parameters(
        torch.tensor([lengths], dtype=torch.float64), torch.tensor([degrees], dtype=torch.float64)
    )[0]
    cell = torch.tensor(_CENTRINGS[kind[1]], dtype=torch.float64) @ conventional
    return cell * (volume / torch.linalg.det(cell).abs()) ** (1 / 3)


def _shape(kind: str, p: float, q: float, angles: list[float]) -> tuple[list[float], list[float]]:
    """Edges, up to a factor, and angles of the conventional cell."""
    right = [90.0, 90.0, 90.0]
    match kind[0]:
        case "c":
            return [1.0, 1.0, 1.0], right
        case "t":
            return [1.0, 1.0, q], right
        case "o":
            return [1.0, p, q], right
        case "h" if kind == "hP":
            return [1.0, 1.0, q], [90.0, 90.0, 120.0]
        case "h":
            return [1.0, 1.0, 1.0], [_within(angles[0], _RHOMBOHEDRAL)] * 3
        case "m":
            return [1.0, p, q], [90.0, _within(angles[0], _OBLIQUE), 90.0]
        case _:
            return [1.0, p, q], [_within(a, _TRICLINIC) for a in angles[:3]]


def _within(u: float, limits: tuple[float, float]) -> float:
    return limits[0] + u * (limits[1] - limits[0])
