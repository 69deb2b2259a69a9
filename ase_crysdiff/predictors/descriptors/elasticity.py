"""How stiff a potential finds a crystal as it is: moduli from the stress of six small strains.

Nothing is relaxed, so that a crystal costs seven evaluations; how much the atoms would give way is
told by the forces that strains cause, summed over the primitive cell that predictors read. Numbers
do not depend on orientation, moduli not on the choice of the cell.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.geometry.lattice import from_parameters, to_parameters
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.potentials.base import Configurations, Potential
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.shapes import Float, Tensor

Array = NDArray[np.float64]

#: eV/Å³ in GPa.
_GPA = 160.21766208
_STRAIN = 0.005
#: Components of a strain in Voigt's order.
_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
#: GPa; what is softer, or unstable, is not told apart.
_SOFTEST = 1.0
NAMES = (
    "bulk modulus, Voigt",
    "shear modulus, Voigt",
    "bulk modulus, Reuss",
    "shear modulus, Reuss",
    "softest mode",
    "give of atoms under pressure",
    "give of atoms under shear",
)


def elasticity(crystals: CrystalBatch, potential: Potential) -> Array:
    """The columns that `NAMES` names, natural logarithms of GPa and of 1 GPa/Å where atoms give
    way; NaN where the potential has no answer.

    Args:
        crystals: In their reduced cells.
        potential: Whose stress is asked.

    Source: Hill, Proc. Phys. Soc. A 65, 349 (1952) for the averages over orientations.
    """
    found = np.full((len(crystals), len(NAMES)), np.nan)
    constants, gives = _responses(crystals, potential)
    sound = np.isfinite(constants).all((1, 2)) & np.isfinite(gives).all(1)
    stiffness = constants[sound]
    # In Mandel's notation a rotation is orthogonal, so that eigenvalues have a meaning.
    mandel = np.sqrt([1.0, 1, 1, 2, 2, 2])
    spectrum, modes = np.linalg.eigh(stiffness * np.outer(mandel, mandel))
    held = np.maximum(spectrum, _SOFTEST)
    compliance = np.einsum("cik,ck,cjk->cij", modes, 1 / held, modes)
    compliance *= np.outer(mandel, mandel)
    voigt, reuss = _averages(stiffness, 1.0), _averages(compliance, 0.25)
    moduli = [voigt[0] / 9, voigt[1] / 15, 1 / reuss[0], 15 / (4 * reuss[1]), spectrum[:, 0]]
    found[sound, :5] = np.log(np.maximum(np.stack(moduli, axis=1), _SOFTEST))
    found[sound, 5:] = np.log1p(gives[sound])
    return found


def _averages(tensor: Array, shear: float) -> tuple[Array, Array]:
    """The two invariants of Voigt's or Reuss's averages, the latter with a quarter of the shear
    terms.
    """
    normal = tensor[:, :3, :3]
    trace = np.trace(normal, axis1=1, axis2=2)
    whole = normal.sum((1, 2))
    across = (whole - trace) / 2
    return whole, trace - across + 3 * shear * np.trace(tensor[:, 3:, 3:], axis1=1, axis2=2)


def _responses(crystals: CrystalBatch, potential: Potential) -> tuple[Array, Array]:
    """Elastic constants with atoms held, GPa, shape (crystals, 6, 6); root of the summed
    squares of the forces on atoms by pressure and by shears, per volume, GPa/Å, shape
    (crystals, 2).
    """
    crystals = crystals.to(dtype=torch.float64)
    # In one orientation, so that what differences leave of it is the same for every description.
    upright = from_parameters(*to_parameters(crystals.lattice))
    rest = Configurations.from_crystals(replace(crystals, lattice=upright))
    owner = segment_index(rest.num_atoms)
    count = len(rest)
    strained = [rest]
    for strain in _strains():
        turned = torch.eye(3, dtype=torch.float64) + strain
        strained.append(
            Configurations(
                rest.positions @ turned,
                rest.cells @ turned,
                rest.periodic,
                rest.species,
                rest.num_atoms,
            )
        )
    answer = evaluate_each(potential, Configurations.cat(strained))
    stress = answer.stress.double().numpy().reshape(7, count, 3, 3) * _GPA
    forces = answer.forces.double().numpy().reshape(7, len(owner), 3)
    voigt = np.stack([stress[..., i, j] for i, j in _VOIGT], axis=-1)
    slopes = ((voigt[1:] - voigt[0]) / _STRAIN).transpose(1, 0, 2)
    pushed = (forces[1:] - forces[0]) / _STRAIN
    volume = torch.linalg.det(rest.cells).abs().numpy()
    # Of all strains of unit size those that change no volume are what pressure leaves.
    pressure = (pushed[:3].sum(0) ** 2).sum(1) / 3
    every = (pushed[:3] ** 2).sum((0, 2)) + 2 * (pushed[3:] ** 2).sum((0, 2))
    squares = [pressure / 3, np.maximum(every - pressure, 0.0) / 5]
    gives = [np.sqrt(np.bincount(owner.numpy(), s, count)) / volume * _GPA for s in squares]
    return (slopes + slopes.transpose(0, 2, 1)) / 2, np.stack(gives, axis=1)


def _strains() -> Float[Tensor, "6 3 3"]:
    """Symmetric, of unit size in Voigt's notation times the strain."""
    found = torch.zeros(6, 3, 3, dtype=torch.float64)
    for number, (i, j) in enumerate(_VOIGT):
        found[number, i, j] += _STRAIN / 2
        found[number, j, i] += _STRAIN / 2
    return found
