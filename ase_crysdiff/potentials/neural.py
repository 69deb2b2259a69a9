"""A trained network as a potential: its atomic terms, reference energies of the elements, and
short-range repulsion.
"""

from collections.abc import Collection

import torch

from ase_crysdiff.crystal.batching import runs_of_size
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.neighbors import Neighbors
from ase_crysdiff.networks.energy import AtomicEnergies
from ase_crysdiff.networks.graph import Graph
from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential, Uncertainty
from ase_crysdiff.potentials.checks import check
from ase_crysdiff.potentials.familiarity import Familiarity
from ase_crysdiff.potentials.separation import REACH, separation
from ase_crysdiff.potentials.zbl import repulsion
from ase_crysdiff.shapes import Float, Tensor

#: Atoms per pass through the network; bounds the memory of large batches.
ATOMS = 2000
#: Closer atoms have no direction from one to the other, Å.
_COINCIDENT = 1e-4


class NeuralPotential(Potential):
    """Conservative forces and the right stress by construction: both are derivatives of one sum of
    atomic energies.

    Systems may be periodic along any of their axes. A system with an atom that has no neighbour
    fails, unless the energies of free atoms are known: the reference energy of an element, which
    would be left over, describes its atoms in crystals.

    Args:
        name: Shown in reports.
        network: Trained; moved to the device and the dtype.
        references: Energy of each element, eV, by atomic number.
        elements: Atomic numbers that occurred in training.
        device: Where it computes.
        dtype: `torch.float32`, or `torch.float64` where differences of energies matter.
        formation_references: Energies of the elements that turn total into formation energies,
            eV/atom by atomic number.
        depths: Energy of each free atom above the reference of its element, eV, by atomic number,
            0 where it is not known; None if none is.
        familiarity: What the network has learnt from, as it sees it; None leaves uncertainties
            unknown.

    Raises:
        InputError: If the dtype is another one, or free atoms are known to a network that does not
            see atoms come apart.
    """

    #: Labels of all levels are brought to this scale before a network learns them.
    is_corrected = True

    def __init__(
        self,
        name: str,
        network: AtomicEnergies,
        references: Float[Tensor, " elements"],
        elements: Collection[int],
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        formation_references: dict[int, float] | None = None,
        depths: Float[Tensor, " elements"] | None = None,
        familiarity: Familiarity | None = None,
    ) -> None:
        if dtype not in (torch.float32, torch.float64):
            raise InputError(f"Potentials compute in torch.float32 or torch.float64, not {dtype}.")
        depths = torch.zeros_like(references) if depths is None else depths
        if bool(depths.any()) and network.neighborhood.reach < REACH:
            raise InputError(
                f"Atoms come apart up to {REACH} bond lengths, but the network has a reach of "
                f"{network.neighborhood.reach}. Give its encoder a larger one, or no depths."
            )
        self.name, self.dtype = name, dtype
        self.device = device or torch.device("cpu")
        self.elements = frozenset(elements)
        self.network = network.to(self.device, dtype).eval().requires_grad_(False)
        self.references = references.to(self.device, torch.float64)
        self.formation_references = dict(formation_references or {})
        self.depths = depths.to(self.device, torch.float64)
        self.familiarity = None if familiarity is None else familiarity.to(self.device)
        if familiarity is not None:
            self.uncertainty_limit = familiarity.limit

    def evaluate(self, configurations: Configurations) -> Evaluation:
        """Energies, forces and stresses; energies are summed in double precision whatever the
        network computes in.

        Raises:
            InputError: If a system is empty, holds an element that is not known, numbers that are
                not finite, a cell that does not span its periodic axes, or two atoms in the same
                place.
        """
        return self._evaluate_all(configurations, derivatives=True)

    def evaluate_energies(self, configurations: Configurations) -> Evaluation:
        """Energies; forces and stresses are NaN.

        Raises:
            InputError: If a set is empty, holds an element that is not known, numbers that are not
                finite, a cell that does not span its periodic axes, or two atoms in the same place.
        """
        return self._evaluate_all(configurations, derivatives=False)

    def _evaluate_all(self, configurations: Configurations, derivatives: bool) -> Evaluation:
        check(configurations, self.elements, self.name)
        runs = runs_of_size(configurations.num_atoms.tolist(), ATOMS)
        if len(runs) == 1:
            return self._evaluate(configurations, derivatives)
        parts = [self._evaluate(configurations.select(systems), derivatives) for systems in runs]
        if not parts:
            empty = torch.zeros(0, device=self.device, dtype=torch.float64)
            vectors = empty.to(self.dtype)
            return Evaluation(empty, empty, vectors.view(0, 3), vectors.view(0, 3, 3))
        failures: dict[int, str] = {}
        start = 0
        for part in parts:
            failures |= {start + system: reason for system, reason in part.failures.items()}
            start += len(part.energy)
        return Evaluation(
            torch.cat([part.energies for part in parts]),
            torch.cat([part.energy for part in parts]),
            torch.cat([part.forces for part in parts]),
            torch.cat([part.stress for part in parts]),
            failures,
        )

    def _evaluate(self, given: Configurations, derivatives: bool) -> Evaluation:
        systems = given.to(self.device, torch.float64)
        graph = self._graph(systems)
        with torch.no_grad():
            fixed = [repulsion(graph)]
            if bool(self.depths.any()):
                fixed.append(separation(graph, self.depths[graph.species]))
            terms = self.network(graph) if derivatives else None
            interaction = self.network.energies(graph) if terms is None else terms.energies
        energies = self.references[graph.species] + interaction.double()
        energies = energies + sum(term.energies.double() for term in fixed)
        energy = torch.zeros_like(systems.cells[:, 0, 0]).index_add(0, graph.systems, energies)
        forces, stress = (
            torch.full_like(fixed[0].forces, torch.nan),
            torch.full_like(fixed[0].virials, torch.nan),
        )
        if terms is not None:
            forces = terms.forces + sum(term.forces for term in fixed)
            virials = terms.virials + sum(term.virials for term in fixed)
            volumes = torch.linalg.det(systems.cells).abs()[:, None, None]
            found = (virials.double() / volumes).to(self.dtype)
            stress = torch.where(systems.periodic.all(-1)[:, None, None], found, torch.nan)
        return self._without_lone(Evaluation(energies, energy, forces, stress), graph)

    def uncertainty(self, configurations: Configurations) -> Uncertainty:
        """How far the energies are to be believed, from how far the network's view of each atom is
        from what it has learnt; NaN for weights without what that takes. The energies do not depend
        on it.

        Raises:
            InputError: If a system is empty, holds an element that is not known, numbers that are
                not finite, a cell that does not span its periodic axes, or two atoms in the same
                place.
        """
        if self.familiarity is None:
            return super().uncertainty(configurations)
        check(configurations, self.elements, self.name)
        parts = [
            self.familiarity.uncertainty(*self.features(configurations.select(systems)))
            for systems in runs_of_size(configurations.num_atoms.tolist(), ATOMS)
        ]
        empty = torch.zeros(0, device=self.device, dtype=torch.float64)
        return Uncertainty(
            torch.cat([empty, *(part.atoms for part in parts)]),
            torch.cat([empty, *(part.systems for part in parts)]),
            self.uncertainty_limit,
        )

    def features(
        self, configurations: Configurations
    ) -> tuple[Float[Tensor, "atoms hidden"], Graph]:
        """What the network sees of every atom, and the graph that it reads, in one pass."""
        graph = self._graph(configurations.to(self.device, torch.float64))
        with torch.no_grad():
            return self.network.features(graph), graph

    def _graph(self, systems: Configurations) -> Graph:
        """The graph of systems in double precision. Vectors are formed in it: atoms may lie far
        from the origin.
        """
        index = systems.index
        neighbors = self.network.neighborhood.pairs(
            systems.positions, systems.cells, systems.periodic, systems.species, systems.num_atoms
        )
        vectors = neighbors.vectors(systems.positions, systems.cells, index)
        _refuse_coincident(neighbors, vectors, index)
        return Graph.of_pairs(
            systems.species, index, len(systems), neighbors, vectors.to(self.dtype)
        )

    def _without_lone(self, found: Evaluation, graph: Graph) -> Evaluation:
        """The evaluation without numbers for systems with an atom that has no neighbour and is not
        known as a free one.
        """
        neighbors = torch.bincount(graph.receivers, minlength=len(graph.species))
        alone = torch.nonzero((neighbors == 0) & (self.depths[graph.species] == 0)).flatten()
        if not len(alone):
            return found
        failures: dict[int, str] = {}
        for atom in alone.tolist():
            system = int(graph.systems[atom])
            place = atom - int(torch.searchsorted(graph.systems, system))
            element = graph.species[atom : atom + 1]
            reach = self.network.neighborhood.cutoffs(element, element, torch.float64)
            failures.setdefault(
                system,
                f"Atom {place} has no neighbour within {float(reach):.3g} Å, and {self.name} does "
                "not know the energy of its free atom. Make the cell smaller, or leave it out.",
            )
        lost = torch.zeros(graph.num_systems, dtype=torch.bool, device=self.device)
        lost[list(failures)] = True
        atoms = lost[graph.systems]
        return Evaluation(
            found.energies.masked_fill(atoms, torch.nan),
            found.energy.masked_fill(lost, torch.nan),
            found.forces.masked_fill(atoms[:, None], torch.nan),
            found.stress.masked_fill(lost[:, None, None], torch.nan),
            failures,
        )


def _refuse_coincident(
    neighbors: Neighbors, vectors: Float[Tensor, "pairs 3"], index: Tensor
) -> None:
    if not len(vectors):
        return
    square, pair = vectors.square().sum(-1).min(0)
    if float(square) < _COINCIDENT**2:
        i, j = int(neighbors.receivers[pair]), int(neighbors.senders[pair])
        start = int(torch.searchsorted(index, index[i]))
        raise InputError(
            f"Atoms {i - start} and {j - start} of system {int(index[i])} are in the same place "
            "(or one is on the other's image); their forces have no direction. Move one of them, "
            "or remove it."
        )
