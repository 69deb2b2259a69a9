"""Symmetry operations of one crystal in its own cell, and what is left of vectors, positions and
cells when they are averaged over them.

An operation takes the column of fractional coordinates x to R x + t, modulo lattice vectors, and
atom a to atom g(a). Averages over a group are projections: orthogonal ones in the Cartesian metric,
because operations are isometries; in fractional coordinates they are oblique.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.permutations import TOLERANCE, permutations_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Two translations are the same if they differ by less, in fractional coordinates: translations of
#: refined crystals are exact to rounding, those of one group differ by 1/24 at least.
_SAME_TRANSLATION = 1e-2


@dataclass(frozen=True, eq=False)
class Operations:
    """The symmetry operations of one crystal, in the setting and the order of its own cell.

    A cell of several primitive cells has pure translations among its operations. The identity is
    one of them; a crystal of which no symmetry is known has nothing else.

    Args:
        rotations: R, whole numbers, shape (operations, 3, 3).
        translations: t, fractional, shape (operations, 3).
        permutations: g(a), the atom that atom a goes to, shape (operations, atoms).

    Raises:
        InputError: If the shapes do not fit together.
    """

    rotations: Ints
    translations: Floats
    permutations: Ints

    def __post_init__(self) -> None:
        count = len(self.rotations)
        if (
            count == 0
            or self.rotations.shape != (count, 3, 3)
            or self.translations.shape != (count, 3)
            or self.permutations.shape[:1] != (count,)
            or self.permutations.ndim != 2
        ):
            raise InputError(
                "Operations need at least one rotation (operations, 3, 3), as many translations "
                "(operations, 3) and as many permutations (operations, atoms); got "
                f"{self.rotations.shape}, {self.translations.shape} and {self.permutations.shape}."
            )

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def num_atoms(self) -> int:
        """Atoms of the cell."""
        return int(self.permutations.shape[1])

    @staticmethod
    def identity(num_atoms: int) -> "Operations":
        """Nothing but the identity."""
        return Operations(
            np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)), np.arange(num_atoms)[None]
        )

    @staticmethod
    def of(
        rotations: ArrayLike,
        translations: ArrayLike,
        frac_coords: ArrayLike,
        species: Sequence[int] | Ints,
        lattice: ArrayLike,
        tolerance: float = TOLERANCE,
    ) -> "Operations":
        """The operations with the permutations that they bring about; see `permutations_of`."""
        return Operations(
            np.asarray(rotations, dtype=np.int64),
            np.asarray(translations, dtype=np.float64),
            permutations_of(rotations, translations, frac_coords, species, lattice, tolerance),
        )

    @cached_property
    def orbits(self) -> Ints:
        """For each atom the first atom that an operation takes it to, shape (atoms,): equal for
        atoms that are equivalent.
        """
        return self.permutations.min(0)

    @cached_property
    def blocks(self) -> tuple[Ints, Ints, Floats]:
        """The average over the group as a sparse matrix of 3 × 3 blocks.

        (A v)_b = 1/|G| Σ_g R_g v_a over those g and a with g(a) = b. Operations that take the same
        atom to the same one are summed here, so that an orbit of m atoms has m² blocks at most.

        Returns:
            Atom a of each block, atom b of each block, and the blocks; sorted by b.
        """
        count, atoms = self.permutations.shape
        key = (self.permutations * atoms + np.arange(atoms)).ravel()
        pairs, place = np.unique(key, return_inverse=True)
        matrices = np.zeros((len(pairs), 3, 3))
        np.add.at(matrices, place.ravel(), np.repeat(self.rotations, atoms, axis=0) / count)
        return pairs % atoms, pairs // atoms, matrices

    @cached_property
    def gram_matrix(self) -> Floats:
        """The average over the group of forms, G ↦ 1/|G| Σ RᵀGR, as a matrix on the nine entries of
        G, shape (9, 9). Its transpose is the average of tensors of vectors, S ↦ 1/|G| Σ R S Rᵀ.
        """
        products = np.einsum("gki,glj->ijkl", self.rotations, self.rotations) / len(self)
        return products.reshape(9, 9)

    @property
    def free_coordinates(self) -> int:
        """Coordinates that the symmetry leaves free: the trace of the average of vectors."""
        fixed = (self.permutations == np.arange(self.num_atoms)).sum(1)
        traces = np.trace(self.rotations, axis1=1, axis2=2)
        return round(float((fixed * traces).mean()))

    @property
    def free_lattice_numbers(self) -> int:
        """Numbers of the cell that the symmetry leaves free, 1 to 6: the trace of the average of
        symmetric forms.
        """
        squares = np.trace(self.rotations @ self.rotations, axis1=1, axis2=2)
        traces = np.trace(self.rotations, axis1=1, axis2=2)
        return round(float(((traces**2 + squares) / 2).mean()))

    def average(self, vectors: ArrayLike) -> Floats:
        """The part of vectors that has the symmetry, (A v)_b = 1/|G| Σ_g R_g v_{g⁻¹(b)}.

        Args:
            vectors: Fractional (contravariant) ones such as displacements, one per atom, shape
                (atoms, 3).
        """
        sources, targets, matrices = self.blocks
        values = np.asarray(vectors, dtype=np.float64)
        averaged = np.zeros_like(values)
        np.add.at(averaged, targets, np.einsum("pij,pj->pi", matrices, values[sources]))
        return averaged

    def average_cartesian(self, vectors: ArrayLike, lattice: ArrayLike) -> Floats:
        """The same of Cartesian vectors such as forces, in a cell that has the symmetry.

        Args:
            vectors: Shape (atoms, 3).
            lattice: Rows, Å.
        """
        rows = np.asarray(lattice, dtype=np.float64)
        return self.average(np.asarray(vectors) @ np.linalg.inv(rows)) @ rows

    def average_gram(self, gram: ArrayLike) -> Floats:
        """The part of a form that has the symmetry, 1/|G| Σ RᵀGR; positive if the form is.

        Args:
            gram: Scalar products of the lattice vectors, shape (3, 3).
        """
        return (self.gram_matrix @ np.asarray(gram, dtype=np.float64).ravel()).reshape(3, 3)

    def average_scalars(self, values: ArrayLike) -> Floats:
        """The mean over equivalent atoms.

        Args:
            values: One or more numbers per atom, shape (atoms, ...).
        """
        given = np.asarray(values, dtype=np.float64)
        return given[self.permutations].mean(0)

    def symmetrise_lattice(self, rows: ArrayLike) -> Floats:
        """The cell with the averaged scalar products, without a rotation.

        Args:
            rows: Lattice vectors, Å.
        """
        matrix = np.asarray(rows, dtype=np.float64)
        return matrix @ stretch_to(matrix, self.average_gram(matrix @ matrix.T))

    def symmetrise_positions(self, frac_coords: ArrayLike) -> Floats:
        """Positions moved to where the symmetry wants them, each to the mean of the images that
        come to lie near it. Right while an atom is off by less than a quarter of the cell.

        Args:
            frac_coords: Shape (atoms, 3); the result is not wrapped.
        """
        frac = np.asarray(frac_coords, dtype=np.float64)
        return frac + self._misfits(frac).mean(0)

    def deviation(self, frac_coords: ArrayLike, lattice: ArrayLike) -> float:
        """How far the crystal is from having these operations, Å: the larger of the longest way
        from an atom to the image of an equivalent one, and of the largest change of a scalar
        product of two lattice vectors over the root of their lengths.

        Args:
            frac_coords: Shape (atoms, 3).
            lattice: Rows, Å.
        """
        rows = np.asarray(lattice, dtype=np.float64)
        gram = rows @ rows.T
        away = self._misfits(np.asarray(frac_coords, dtype=np.float64)) @ rows
        turned = np.einsum("gki,kl,glj->gij", self.rotations, gram, self.rotations)
        lengths = np.sqrt(np.diag(gram))
        stretch = np.abs(turned - gram).max(0) / np.sqrt(np.outer(lengths, lengths))
        largest = np.linalg.norm(away, axis=-1).max() if away.size else 0.0
        return float(max(largest, stretch.max()))

    def in_basis(self, change: ArrayLike) -> "Operations":
        """The operations in the cell with the rows `change @ lattice`, of the same lattice.

        Args:
            change: Whole numbers of determinant 1 or -1, shape (3, 3).

        Raises:
            InputError: If it does not span the same lattice.
        """
        matrix = np.asarray(change, dtype=np.float64)
        if (
            not np.allclose(matrix, np.round(matrix))
            or abs(abs(np.linalg.det(matrix)) - 1) > _SAME_TRANSLATION
        ):
            raise InputError(
                f"A change of the cell must be whole numbers of determinant 1 or -1, got "
                f"{matrix.tolist()}."
            )
        # Rows change by P, so columns of coordinates change by the inverse of its transpose.
        forth, back = np.linalg.inv(matrix).T, matrix.T
        rotations = np.round(forth @ self.rotations @ back).astype(np.int64)
        return Operations(rotations, self.translations @ forth.T, self.permutations)

    def in_order(self, order: Sequence[int]) -> "Operations":
        """The operations where atom i is the one that was atom `order[i]`."""
        places = np.asarray(order, dtype=np.int64)
        back = np.argsort(places)
        return Operations(self.rotations, self.translations, back[self.permutations[:, places]])

    def check(self) -> None:
        """Refuses what is no group of operations that permute the atoms.

        Raises:
            InputError: If a rotation has another determinant than 1 and -1, an operation takes two
                atoms to one, or a product of two operations is not among them.
        """
        if not np.allclose(np.abs(np.linalg.det(self.rotations)), 1):
            raise InputError("A rotation has another determinant than 1 and -1.")
        if not (np.sort(self.permutations, 1) == np.arange(self.num_atoms)).all():
            raise InputError("An operation takes two atoms to one; refine the crystal first.")
        # Pure translations have the same rotation but another permutation.
        known = {self._key(g): g for g in range(len(self))}
        for i in range(len(self)):
            product = Operations(
                self.rotations[i] @ self.rotations,
                self.translations @ self.rotations[i].T + self.translations[i],
                self.permutations[i][self.permutations],
            )
            places = [known.get(product._key(g), -1) for g in range(len(self))]
            off = product.translations - self.translations[places]
            if -1 in places or np.abs(off - np.round(off)).max() > _SAME_TRANSLATION:
                raise InputError(
                    f"The {len(self)} operations are no group: a product with number {i} is not "
                    "among them. Refine the crystal first, then find its operations."
                )

    def _key(self, g: int) -> tuple[bytes, bytes]:
        """Tells an operation from all others of its group."""
        return self.rotations[g].tobytes(), self.permutations[g].tobytes()

    def _misfits(self, frac: Floats) -> Floats:
        """From each atom to the images of equivalent atoms that should lie there, fractional, shape
        (operations, atoms, 3).
        """
        images = np.einsum("gij,aj->gai", self.rotations, frac) + self.translations[:, None]
        back = np.argsort(self.permutations, 1)
        away = np.take_along_axis(images, back[..., None], 1) - frac
        return away - np.round(away)


def stretch_to(matrix: Floats, gram: Floats) -> Floats:
    """The symmetric S for which the rows of matrix @ S have the scalar products `gram`: the
    deformation without a rotation.
    """
    inverse = np.linalg.inv(matrix)
    values, vectors = np.linalg.eigh(inverse @ gram @ inverse.T)
    stretch: Floats = (vectors * np.sqrt(values)) @ vectors.T
    return stretch
