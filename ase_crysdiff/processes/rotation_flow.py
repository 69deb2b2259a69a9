"""Flow matching of rotations: geodesics of SO(3) to uniform noise."""

from ase_crysdiff.geometry import rotations
from ase_crysdiff.processes.flow import Flow
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.shapes import Float, Tensor


class RotationFlow(Flow):
    """Rotations, as unit quaternions of four numbers, along geodesics to uniform ones.

    A tangent is the rotation vector of a turn in the body's own frame: R exp(v). It does not change
    when the whole crystal is turned, and is the same all along a geodesic. The shortest way is
    taken, so that it is at most π long.

    Source: Kim et al. 2025 (MOFFlow), section 4; Chen & Lipman 2024 for geodesics.
    """

    width = 3

    def blend(self, first: Tensor, second: Tensor, weight: float) -> Tensor:
        return self.move(first, weight * self.displacement(first, second))

    def prior(self, rng: RandomStream) -> Float[Tensor, "rows 4"]:
        """Uniform: four normal numbers have no direction that they prefer."""
        return rotations.canonical(rng.normal(4))

    def displacement(self, start: Tensor, end: Tensor) -> Float[Tensor, "rows 3"]:
        return rotations.log(rotations.multiply(rotations.inverse(start), end))

    def move(self, value: Tensor, step: Tensor) -> Float[Tensor, "rows 4"]:
        return rotations.canonical(rotations.multiply(value, rotations.exp(step)))
