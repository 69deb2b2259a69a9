"""An analytic potential for tests: cheap, smooth, extensive, and exact to rounding in either number
format.
"""

from dataclasses import dataclass

import torch
from ase.data import covalent_radii

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential
from ase_crysdiff.potentials.checks import check
from ase_crysdiff.shapes import Float, Int, Tensor

#: Most distances that are held at once while neighbours are looked for.
_CHUNK = 4_000_000


@dataclass(frozen=True)
class _Pairs:
    """Directed neighbours; `shift` counts the lattice vectors from the first atom's cell to the
    second one's image.
    """

    first: Int[Tensor, " pairs"]
    second: Int[Tensor, " pairs"]
    shift: Float[Tensor, "pairs 3"]


class PairPotential(Potential):
    """Morse pairs over all periodic images, with minima at the sum of covalent radii; knows every
    element.

    E = ½ Σ D [(1 - exp(-a (r - r₀)))² - 1] f(r / cutoff), where f falls from 1 to 0 with two
    continuous derivatives.

    Args:
        depth: D, eV.
        stiffness: a, 1/Å.
        cutoff: Å.
        dtype: Number format.

    Source: P. M. Morse, Phys. Rev. 34, 57 (1929), eq. 4; envelope of Gasteiger et al. 2020
    (arXiv:2003.03123), eq. 8 with p = 6.
    """

    name = "pair-potential"
    elements = frozenset(range(1, NUM_SPECIES))

    def __init__(
        self,
        depth: float = 0.3,
        stiffness: float = 1.4,
        cutoff: float = 5.0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.depth, self.stiffness, self.cutoff, self.dtype = depth, stiffness, cutoff, dtype
        self.device = torch.device("cpu")
        self._radii = torch.tensor(covalent_radii[:NUM_SPECIES], dtype=dtype)

    def evaluate(self, configurations: Configurations) -> Evaluation:
        """Energies, forces and stresses."""
        given = configurations.to(self.device, self.dtype)
        check(given, self.elements, self.name)
        pairs, index = self._pairs(given), given.index
        cells = given.cells * given.periodic.unsqueeze(-1)
        with torch.enable_grad():
            positions = given.positions.detach().requires_grad_()
            strain = torch.zeros_like(cells).requires_grad_()
            systems = index[pairs.first]
            vectors = (
                positions[pairs.second]
                - positions[pairs.first]
                + (pairs.shift.unsqueeze(1) @ cells[systems]).squeeze(1)
            )
            vectors = vectors + (vectors.unsqueeze(1) @ strain[systems]).squeeze(1)
            distances = torch.linalg.vector_norm(vectors, dim=-1)
            radii = self._radii[given.species]
            bonds = self._bond(distances, radii[pairs.first] + radii[pairs.second])
            energies = torch.zeros_like(positions[:, 0]).index_add(0, pairs.first, bonds / 2)
            slope, virial = torch.autograd.grad(energies.sum(), (positions, strain))
        volumes = torch.linalg.det(cells).abs()
        stress = (virial + virial.transpose(1, 2)) / (2 * volumes[:, None, None])
        stress[~given.periodic.all(-1)] = torch.nan
        energies = energies.detach()
        total = torch.zeros_like(volumes).index_add(0, index, energies)
        return Evaluation(energies, total, -slope, stress)

    def _bond(
        self, r: Float[Tensor, " pairs"], r0: Float[Tensor, " pairs"]
    ) -> Float[Tensor, " pairs"]:
        x = r / self.cutoff
        envelope = 1 - x**6 * (28 - 48 * x + 21 * x**2)
        return self.depth * ((1 - torch.exp(-self.stiffness * (r - r0))) ** 2 - 1) * envelope

    def _pairs(self, given: Configurations) -> _Pairs:
        """All neighbours within the cutoff, from dense tables of a few systems at a time."""
        counts = given.num_atoms.tolist()
        starts = [0, *given.num_atoms.cumsum(0).tolist()]
        # The columns of the pseudo-inverse of the periodic rows are the reciprocal vectors of a
        # lattice, plane or chain; those of open axes are zero only to rounding.
        cells = given.cells * given.periodic.unsqueeze(-1)
        reciprocal = torch.linalg.pinv(cells) * given.periodic.unsqueeze(-2)
        reach = torch.ceil(
            self.cutoff * torch.linalg.vector_norm(reciprocal, dim=-2)
        ).long()  # systems, 3
        home = torch.floor((given.positions.unsqueeze(1) @ reciprocal[given.index]).squeeze(1))
        found = []
        first = 0
        while first < len(counts):
            last, size, images = first, counts[first], reach[first]
            while last < len(counts):  # the longest run of systems whose table fits
                size, images = max(size, counts[last]), torch.maximum(images, reach[last])
                if (
                    last > first
                    and (last - first + 1) * size**2 * int((2 * images + 1).prod()) > _CHUNK
                ):
                    break
                last += 1
            part = slice(first, last)
            found.append(
                self._dense_pairs(
                    given, cells[part], home, counts[part], starts[first], reach[part]
                )
            )
            first = last
        return _Pairs(
            *(torch.cat([getattr(p, name) for p in found]) for name in ("first", "second", "shift"))
        )

    def _dense_pairs(
        self,
        given: Configurations,
        cells: Float[Tensor, "chosen 3 3"],
        home: Float[Tensor, "atoms 3"],
        counts: list[int],
        start: int,
        reach: Int[Tensor, "chosen 3"],
    ) -> _Pairs:
        size, num = torch.tensor(counts), max(counts)
        present = torch.arange(num) < size[:, None]
        atoms = torch.zeros(present.shape, dtype=torch.long)
        atoms[present] = torch.arange(start, start + int(size.sum()))
        shifts = torch.cartesian_prod(
            *[torch.arange(-n, n + 1, dtype=self.dtype) for n in reach.amax(0).tolist()]
        )
        inside = given.positions - (
            home.unsqueeze(1) @ (given.cells * given.periodic.unsqueeze(-1))[given.index]
        ).squeeze(1)
        points = inside[atoms]
        vectors = (
            points[:, None, :, None] - points[:, :, None, None] + (shifts @ cells)[:, None, None]
        )
        near = (vectors**2).sum(-1) < self.cutoff**2  # systems, atoms, atoms, images
        near &= (present[:, :, None] & present[:, None])[..., None]
        # Another system of the table may reach farther; along an open axis all images coincide, and
        # only one of them counts.
        near &= (shifts.abs() <= reach[:, None]).all(-1)[:, None, None]
        own = torch.eye(num, dtype=torch.bool)[..., None] & (shifts == 0).all(-1)
        systems, i, j, image = torch.nonzero(near & ~own, as_tuple=True)
        one, other = atoms[systems, i], atoms[systems, j]
        return _Pairs(one, other, shifts[image] - home[other] + home[one])
