"""Frequencies from force constants, at all wave vectors that repeats of a cell hold exactly."""

import math

import numpy as np
from ase import units
from numpy.typing import NDArray

from ase_crysdiff.relaxation.supercells import Repeats
from ase_crysdiff.symmetry.operations import Floats

#: √(eV/Å²/u) as a frequency, THz.
_THZ = units.second / (2 * math.pi * 1e12)


def frequencies(constants: Floats, masses: Floats, repeats: Repeats) -> Floats:
    """Frequencies at the wave vectors commensurate with the repeats: all modes of the repeats.

    That forces are those of a potential (the matrices are Hermitian) and that moving the whole
    crystal costs nothing (at the zone centre alone) is made exact by orthogonal projections; the
    three modes of the moving crystal are exactly 0.

    Args:
        constants: Those of `force_constants`, eV/Å², shape (atoms, repeats * atoms, 3, 3).
        masses: Of the atoms of the cell, u, shape (atoms,).
        repeats: Along the axes.

    Returns:
        THz, ascending, imaginary ones negative, shape (wave vectors, 3 * atoms); wave vectors in
        the order of `wave_vectors`.

    Source: M. Born, K. Huang, Dynamical Theory of Crystal Lattices (1954), eqs. 24.9 and 24.10.
    """
    count = len(masses)
    waves = np.fft.fftn(constants.reshape(count, *repeats, count, 3, 3), axes=(1, 2, 3))
    matrices = waves.reshape(count, -1, count, 3, 3).transpose(1, 2, 3, 0, 4)
    matrices = matrices.reshape(-1, 3 * count, 3 * count)
    matrices = (matrices + matrices.conj().swapaxes(1, 2)) / 2
    moving = np.tile(np.eye(3), (count, 1)) / math.sqrt(count)
    still = np.eye(3 * count) - moving @ moving.T
    matrices[0] = still @ matrices[0] @ still
    roots = np.repeat(np.sqrt(masses), 3)
    matrices /= np.outer(roots, roots)
    squares = np.zeros(matrices.shape[:2])
    squares[1:] = np.linalg.eigvalsh(matrices[1:])
    # All orthogonal to the moving crystal, which in these coordinates goes with the roots.
    rest = np.linalg.qr(roots[:, None] * moving, mode="complete")[0][:, 3:]
    squares[0, 3:] = np.linalg.eigvalsh(rest.T @ matrices[0].real @ rest)
    squares[0].sort()
    found: Floats = np.sign(squares) * np.sqrt(np.abs(squares)) * _THZ
    return found


def wave_vectors(repeats: Repeats) -> NDArray[np.float64]:
    """The commensurate wave vectors in reciprocal lattice vectors of the cell, from -1/2 (excluded)
    to 1/2, the zone centre first; shape (wave vectors, 3).
    """
    axes = [np.fft.fftfreq(n) for n in repeats]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return np.where(points == -0.5, 0.5, points)
