"""Crystals that keep symmetry operations, with any sampler whose network knows no symmetry."""

from collections.abc import Sequence

import numpy as np
import torch

from ase_crysdiff.conditions.base import Condition, Context, Denoise
from ase_crysdiff.crystal.batch import CrystalBatch, Layout, rows_of
from ase_crysdiff.geometry.lattice import gram
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction, StreamFor
from ase_crysdiff.processes.state import replaced
from ase_crysdiff.shapes import Bool, Float, Int, Tensor
from ase_crysdiff.symmetry.averaging import Averaging
from ase_crysdiff.symmetry.crystal import SymmetricCrystal, operations_of_scaffold
from ase_crysdiff.symmetry.operations import Operations
from ase_crysdiff.symmetry.scaffold import Scaffold

#: Volume of a cell in Å³ below or above which its clean estimate is none: a process may divide by
#: next to nothing at t = 1.
_VOLUMES = (1e-3, 1e9)


class SymmetricAs(Condition):
    """Holds crystals on symmetry operations: the unconstrained law, restricted to the crystals that
    have them.

    Every state is symmetric: a step's change of the positions is averaged over the operations, A_g
    of its shortest image, and added to the positions before; the cell becomes that of the averaged
    scalar products G ↦ mean RᵀGR. The network sees symmetric states only, its tangents of the
    positions are averaged, and its clean cell is averaged and encoded again. Where species are
    generated, rows that belong together take the mean of their log-probabilities and one draw.
    Given first and last, it makes the estimates symmetric that other conditions see, and then what
    they make of them.

    It holds one batch and remembers its positions, in double precision, so that nothing drifts.

    Args:
        operations: Of each crystal of the layout. A crystal may have further rows (vacancies),
            which are left alone.
        points: Symmetric positions of all rows that the operations permute, fractional, shape
            (atoms, 3).
        layout: Rows of each crystal.
        placed: Which of them the first state has at these points, shape (atoms,); of the others it
            keeps the symmetric part of their difference from the points. None places none.
        rows: The rows of each crystal that its operations permute, in their order; None takes the
            first ones.
        ties: Rows with the same number are of one species, shape (atoms,); None ties nothing.

    Source: Puny et al. 2025 (SGFM) for averages of a network over the group; Jiao et al. 2024
    (DiffCSP++) for scaffolds held while sampling.
    """

    def __init__(
        self,
        operations: Sequence[Operations],
        points: Float[Tensor, "atoms 3"],
        layout: Layout,
        *,
        placed: Bool[Tensor, " atoms"] | None = None,
        rows: Sequence[Sequence[int]] | None = None,
        ties: Int[Tensor, " atoms"] | None = None,
    ) -> None:
        sizes = torch.tensor(layout.sizes)
        starts = (sizes.cumsum(0) - sizes).tolist()
        own = rows or [range(o.num_atoms) for o in operations]
        whole = [start + k for start, some in zip(starts, own, strict=True) for k in some]
        self._rows = torch.tensor(whole, dtype=torch.long, device=layout.device)
        self._counts = torch.tensor([len(some) for some in own])
        self._placed = None if placed is None else placed.to(layout.device)
        self._average = Averaging(operations, layout.device, torch.float64)
        self._origin = self._points = points.to(layout.device, torch.float64)
        self._ties = None if ties is None else _Ties(ties.to(layout.device))

    @staticmethod
    def scaffolds(
        scaffolds: Sequence[Scaffold], layout: Layout, rng: StreamFor, tied: bool = False
    ) -> "SymmetricAs":
        """Crystals on the sites of scaffolds, in their primitive standard cells, atoms site after
        site, which start at uniform free numbers.

        Args:
            scaffolds: One for each crystal of the layout.
            layout: Rows of each crystal.
            rng: Random numbers at the level of free numbers, which the layout needs to know.
            tied: Whether species are generated: one for each element of a scaffold.
        """
        numbers = rng("free numbers", "freedom").uniform(1)[:, 0].double().cpu().numpy()
        parts = np.split(numbers, np.cumsum([s.free for s in scaffolds])[:-1])
        pairs = zip(scaffolds, parts, strict=True)
        points = [SymmetricCrystal(s, np.eye(3), u).frac_coords for s, u in pairs]
        everywhere = torch.ones(sum(s.num_atoms for s in scaffolds), dtype=torch.bool)
        ties = [torch.from_numpy(s.species) + 1000 * i for i, s in enumerate(scaffolds)]
        return SymmetricAs(
            [operations_of_scaffold(s) for s in scaffolds],
            torch.from_numpy(np.concatenate(points)),
            layout,
            placed=everywhere,
            ties=torch.cat(ties) if tied else None,
        )

    def start(self, state: NoisyState, joint: JointProcess, layout: Layout) -> NoisyState:
        self._points = self._origin
        if self._placed is not None:
            frac = state["frac_coords"]
            own = torch.where(self._placed[:, None], self._origin.to(frac), frac[self._rows])
            state = replaced(state, "frac_coords", frac.index_copy(0, self._rows, wrap(own)))
        return self._held(state, joint)

    def project(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout, rng: StreamFor
    ) -> NoisyState:
        return self._held(state, joint)

    def follow(self, parents: Int[Tensor, " crystals"], layout: Layout) -> None:
        _, rows = rows_of(self._counts, parents.cpu())
        self._points = self._points[rows.to(self._points.device)]

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        cell = joint.components["lattice"].representation

        def symmetric(state: NoisyState, t: float, context: Context) -> Prediction:
            # A solver may ask in the middle of a step, when noise has just been added.
            state = self._symmetric(state, joint)[0]
            prediction = dict(denoise(state, t, context))
            tangents = prediction["frac_coords"]
            averaged = self._average.vectors(tangents[self._rows].double()).to(tangents)
            prediction["frac_coords"] = tangents.index_copy(0, self._rows, averaged)
            clean = joint.clean("lattice", state, prediction, t, layout)
            found, sound = self._symmetric_cell(cell.decode(clean.double()))
            wanted = cell.encode(CrystalBatch.cells(found)).to(clean)
            moved = joint.from_clean("lattice", state, wanted, t, layout)
            prediction["lattice"] = torch.where(sound[:, None], moved, prediction["lattice"])
            if self._ties is not None and "species" in joint.components:
                logs = joint.clean("species", state, prediction, t, layout)
                tied = logs.index_copy(0, self._rows, self._ties.mean(logs[self._rows]))
                prediction["species"] = joint.from_clean("species", state, tied, t, layout)
            return prediction

        return symmetric

    def _held(self, state: NoisyState, joint: JointProcess) -> NoisyState:
        """The symmetric state next to one, which the next step starts from."""
        state, self._points = self._symmetric(state, joint)
        return state

    def _symmetric(
        self, state: NoisyState, joint: JointProcess
    ) -> tuple[NoisyState, Float[Tensor, "atoms 3"]]:
        """The symmetric state next to one, and its positions in double precision."""
        frac = state["frac_coords"]
        change = shortest_image(frac[self._rows].double() - self._points)
        points = self._points + self._average.vectors(change)
        placed = frac.index_copy(0, self._rows, wrap(points.to(frac)))
        state = replaced(state, "frac_coords", placed)
        cell, numbers = joint.components["lattice"].representation, state["lattice"]
        found, sound = self._symmetric_cell(cell.decode(numbers.double()))
        averaged = cell.encode(CrystalBatch.cells(found)).to(numbers)
        state = replaced(state, "lattice", torch.where(sound[:, None], averaged, numbers))
        if self._ties is not None and "species" in state:
            species = state["species"]
            first = species[self._rows][self._ties.first]
            state = replaced(state, "species", species.index_copy(0, self._rows, first))
        return state, points

    def _symmetric_cell(
        self, lattice: Float[Tensor, "crystals 3 3"]
    ) -> tuple[Float[Tensor, "crystals 3 3"], Bool[Tensor, " crystals"]]:
        """Each cell with the averaged scalar products, without a rotation; and which are sound."""
        size = torch.linalg.det(lattice).abs()
        sound = torch.isfinite(lattice).flatten(1).all(-1)
        sound = sound & (size > _VOLUMES[0]) & (size < _VOLUMES[1])
        unit = torch.eye(3, dtype=lattice.dtype, device=lattice.device)
        cells = torch.where(sound[:, None, None], lattice, unit)
        inverse = torch.linalg.inv(cells)
        strain = inverse @ self._average.gram(gram(cells)) @ inverse.mT
        values, vectors = torch.linalg.eigh((strain + strain.mT) / 2)
        sound = sound & (values > 0).all(-1)
        root = (vectors * values.clamp_min(1e-12).sqrt().unsqueeze(-2)) @ vectors.mT
        return cells @ root, sound


class _Ties:
    """Rows that take one species."""

    def __init__(self, ties: Int[Tensor, " atoms"]) -> None:
        _, self._label, count = torch.unique(ties, return_inverse=True, return_counts=True)
        same = self._label == self._label.unsqueeze(-1)
        #: The first row of those that each row is tied to.
        self.first = same.int().argmax(-1)
        self._share = 1 / count[self._label]

    def mean(self, logs: Float[Tensor, "atoms classes"]) -> Float[Tensor, "atoms classes"]:
        """The mean of log-probabilities over the rows that belong together."""
        own = torch.log_softmax(logs, -1) * self._share[:, None].to(logs)
        total = torch.zeros_like(own).index_add(0, self._label, own)
        return total[self._label]
