"""What is known of the clean value when the noisy one is given."""

import math

import torch

from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.processes.base import Process
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.processes.wrapped_diffusion import WrappedDiffusion
from ase_crysdiff.representations.base import Representation
from ase_crysdiff.representations.lattice_matrix import LatticeMatrix

#: Variance of the data: uniform coordinates, standardised lattice numbers, and Å² for the entries
#: of the lattice matrix.
COORDINATE_VARIANCE, STANDARD_VARIANCE, MATRIX_VARIANCE = 1 / 12, 1.0, 4.0


def scales(process: Process, t: float) -> tuple[float, float]:
    """Factor of the data and standard deviation of the noise at t.

    A flow on the torus adds t times a displacement that is uniform in the cell, whatever the data:
    noise t/√12 per axis.

    Raises:
        IncompatibleError: If the process is none of diffusion or flow on numbers.
    """
    if isinstance(process, LinearFlow):
        return 1 - t, t
    if isinstance(process, TorusFlow):
        return 1.0, t / math.sqrt(12)
    time_now = torch.tensor([t], dtype=torch.float64)
    if isinstance(process, WrappedDiffusion):
        return 1.0, float(process.schedule.sigma(time_now))
    if isinstance(process, GaussianDiffusion):
        signal, noise = process.schedule.scales(time_now)
        return float(signal), float(noise)
    raise IncompatibleError(
        f"Energy guidance needs the noise of {type(process).__name__}, which it does not know."
    )


def posterior_variance(signal: float, noise: float, variance: float) -> float:
    """Variance of the clean value given the noisy one: σ²r²/(α²r² + σ²) for data of variance r²."""
    return noise**2 * variance / (signal**2 * variance + noise**2)


def data_variance(representation: Representation) -> float:
    """Variance of the data along each number of a component."""
    if representation.level == "atom":
        return COORDINATE_VARIANCE
    return MATRIX_VARIANCE if isinstance(representation, LatticeMatrix) else STANDARD_VARIANCE
