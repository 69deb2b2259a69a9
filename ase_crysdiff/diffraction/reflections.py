"""Reflections of a symmetric crystal: where they lie for any strain of the cell, how strong they
are for any positions of the atoms, and how both change.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.symmetry.crystal import SymmetricCrystal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Å² from s² = (sin θ / λ)² and electrons: the factor of the parametrised form factors.
_MOTT = 41.78214


@dataclass(frozen=True)
class Reflections:
    """Families of equivalent reflections of a crystal in the primitive standard cell of its group.

    The cell is strained without a rotation and keeps its symmetry: rows A become A exp(E), with E
    in the span of `strains`, so that a reciprocal vector g becomes exp(-E) g.

    Args:
        crystal: The crystal.
        members: Indices h, k, l of all members of all families, Friedel's opposites included, one
            family after the other, shape (members, 3).
        starts: First member of each family, shape (families,).
    """

    crystal: SymmetricCrystal
    members: Ints
    starts: Ints

    @staticmethod
    def of(crystal: SymmetricCrystal, largest: float) -> "Reflections":
        """All reflections up to a length of the reciprocal vector.

        Args:
            crystal: The crystal.
            largest: 1/d, 1/Å.
        """
        lengths = np.linalg.norm(crystal.lattice, axis=1)
        reach = np.floor(lengths * largest).astype(int)
        axes = [np.arange(-n, n + 1) for n in reach]
        hkl = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        reciprocal = np.linalg.inv(crystal.lattice).T
        length = np.linalg.norm(hkl @ reciprocal, axis=1)
        hkl = hkl[(length > 1e-9) & (length <= largest)]
        base = 2 * int(np.abs(hkl).max(initial=1)) + 1
        digits = np.array([base**2, base, 1])
        rotations = _laue(crystal.scaffold.space_group.rotations)
        # Indices are rows: those of the plane that x' = R x takes a plane to are h R⁻¹, and with
        # the whole group h R runs over the same.
        keys = np.full(len(hkl), np.iinfo(np.int64).min)
        for rotation in rotations:
            keys = np.maximum(keys, hkl @ (rotation @ digits))
        order = np.lexsort((hkl @ digits, keys))
        # The greatest member stands for a family and comes first.
        order = order[::-1]
        starts = np.flatnonzero(np.append(True, np.diff(keys[order]) != 0)[: len(order)])
        return Reflections(crystal, hkl[order], starts)

    def only(self, families: Ints) -> "Reflections":
        """Some of the families, by their places in ascending order."""
        counts = self.multiplicity[families]
        ends = np.cumsum(counts)
        rows = np.arange(ends[-1]) + np.repeat(self.starts[families] - (ends - counts), counts)
        return Reflections(self.crystal, self.members[rows], ends - counts)

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def hkl(self) -> Ints:
        """One member of each family, shape (families, 3)."""
        return self.members[self.starts]

    @cached_property
    def multiplicity(self) -> Ints:
        """Members of each family, shape (families,)."""
        return np.diff(np.append(self.starts, len(self.members)))

    @cached_property
    def vectors(self) -> Floats:
        """Reciprocal vectors of `hkl` in the unstrained cell, 1/Å, shape (families, 3)."""
        found: Floats = self.hkl @ np.linalg.inv(self.crystal.lattice).T
        return found

    @cached_property
    def turns(self) -> Floats:
        """The rotations of the group on Cartesian columns, shape (operations, 3, 3)."""
        rows = self.crystal.lattice
        rotations = self.crystal.scaffold.space_group.rotations
        # x' = R x on columns of coordinates is the rotation Aᵀ R A⁻ᵀ on Cartesian ones.
        found: Floats = rows.T @ rotations @ np.linalg.inv(rows).T
        return found

    @cached_property
    def strains(self) -> Floats:
        """An orthonormal basis of the strains that keep the symmetry, the change of the volume
        first, shape (1 to 6, 3, 3).
        """
        turns = self.turns
        kept = np.einsum("gik,gjl->ijkl", turns, turns).reshape(9, 9) / len(turns)
        swap = np.eye(9).reshape(3, 3, 9).transpose(1, 0, 2).reshape(9, 9)
        kept = kept @ (np.eye(9) + swap) / 2
        volume = np.eye(3).ravel() / np.sqrt(3)
        kept = kept - np.outer(volume, volume)
        values, axes = np.linalg.eigh((kept + kept.T) / 2)
        shapes = axes[:, values > 0.5].T
        return np.concatenate([volume[None], shapes]).reshape(-1, 3, 3)

    def inverse_d(self, strain: Floats) -> Floats:
        """Lengths of the reciprocal vectors, 1/Å, shape (families,).

        Args:
            strain: Coefficients of `strains`, shape (..., strains); more than one strain give
                shape (..., families).
        """
        total = np.einsum("...k,kij->...ij", strain, self.strains)
        found: Floats = np.linalg.norm(self.vectors @ _exponential(-total), axis=-1)
        return found

    def inverse_d_gradient(self, strain: Floats) -> Floats:
        """How 1/d changes with each strain, to first order in strains that do not commute, shape
        (families, strains).
        """
        moved = self.vectors @ _exponential(-np.einsum("k,kij->ij", strain, self.strains))
        lengths = np.linalg.norm(moved, axis=1)
        return -np.einsum("hi,kij,hj->hk", moved, self.strains, moved) / lengths[:, None]

    def lattice(self, strain: Floats) -> Floats:
        """Rows of the strained cell, Å."""
        total = np.einsum("k,kij->ij", strain, self.strains)
        found: Floats = self.crystal.lattice @ _exponential(total)
        return found

    @cached_property
    def coordinate_basis(self) -> Floats:
        """How fractional coordinates change with the free numbers, shape (atoms, 3, free)."""
        found = np.zeros((len(self.crystal.species), 3, self.crystal.scaffold.free))
        atom = number = 0
        for position in self.crystal.scaffold.positions:
            rows = slice(atom, atom + position.multiplicity)
            found[rows, :, number : number + position.free] = position.basis
            atom, number = atom + position.multiplicity, number + position.free
        return found

    def structure_factors(
        self, inverse_d: Floats, free_numbers: Floats, gradient: bool = True
    ) -> tuple[Floats, Floats]:
        """|F|² of one member of each family, and its gradient by the free numbers.

        Args:
            inverse_d: 1/Å, shape (families,).
            free_numbers: Of the crystal's sites, shape (free,).
            gradient: Whether the gradient is needed.

        Returns:
            Shapes (families,) and (families, free), or (families, 0).

        Source: form factors as in pymatgen's `XRDCalculator` (De Graef and McHenry, Structure of
            Materials, chapter 12), without anomalous dispersion.
        """
        basis = self.coordinate_basis
        shift = basis @ (free_numbers - self.crystal.free_numbers)
        phase = 2j * np.pi * (self.hkl @ (self.crystal.frac_coords + shift).T)
        waves = self._form_factors(inverse_d) * np.exp(phase)
        total = waves.sum(1)
        squared = np.abs(total) ** 2
        if not gradient:
            return squared, np.zeros((len(total), 0))
        # ∂|F|²/∂u = 2 Re(F* 2πi Σ f e^(2πi h·x) h·∂x/∂u) for each atom's coordinates, then for u.
        turned = -4 * np.pi * (total.conj()[:, None] * waves).imag
        slopes = np.zeros((len(total), basis.shape[2]))
        for axis in range(3):
            slopes += self.hkl[:, axis, None] * (turned @ basis[:, axis])
        return squared, slopes

    def _form_factors(self, inverse_d: Floats) -> Floats:
        """F of each atom for each family, shape (families, atoms)."""
        from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS

        s2 = (inverse_d / 2) ** 2
        numbers, place = np.unique(self.crystal.species, return_inverse=True)
        factors = np.empty((len(s2), len(numbers)))
        for column, number in enumerate(numbers.tolist()):
            a, b = np.array(ATOMIC_SCATTERING_PARAMS[SYMBOLS[number]]).T
            factors[:, column] = number - _MOTT * s2 * (np.exp(-np.outer(s2, b)) @ a)
        return factors[:, place]


def has_form_factors(crystal: SymmetricCrystal) -> bool:
    """Whether the scattering of all its elements is known."""
    from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS

    return {SYMBOLS[z] for z in crystal.species.tolist()} <= set(ATOMIC_SCATTERING_PARAMS)


def _laue(rotations: Ints) -> Ints:
    """The operations of the Laue group: with the inversion, which Friedel's law adds."""
    both = np.concatenate([rotations, -rotations])
    return np.unique(both.reshape(-1, 9), axis=0).reshape(-1, 3, 3)


def _exponential(matrices: Floats) -> Floats:
    """Exp of symmetric matrices, shape (..., 3, 3)."""
    values, vectors = np.linalg.eigh(matrices)
    found: Floats = (vectors * np.exp(values)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    return found


def lorentz_polarisation(theta: Floats) -> Floats:
    """(1 + cos² 2θ) / (sin² θ cos θ) of unpolarised X-rays.

    Args:
        theta: Radians.
    """
    found: Floats = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    return found
