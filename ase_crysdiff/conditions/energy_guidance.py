"""Steers a sampler toward low energy."""

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Condition, Context, Denoise
from ase_crysdiff.conditions.molecule_energy import guided_places
from ase_crysdiff.conditions.posterior import posterior_variance, scales
from ase_crysdiff.conditions.proximal import Variables, proximal_minimum
from ase_crysdiff.conditions.usage import Usage
from ase_crysdiff.constants import GATE_DISTANCE, GATE_VOLUME, VACANCY, VOLUME_PER_ATOM
from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.lattice import volume
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.networks.molecules.base import POSITIONS
from ase_crysdiff.potentials.base import Configurations, Evaluation
from ase_crysdiff.processes.joint import Component, JointProcess, NoisyState, Prediction
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

#: A potential's answer for a batch in which single sets may fail.
Evaluate = Callable[[Configurations], Evaluation]

#: Noise of fractional coordinates beyond which their clean estimate means nothing.
MAX_NOISE = 0.15


@dataclass(frozen=True)
class CleanEnergyGuidance(Condition):
    """Samples from p(x) exp(-guidance_scale E/N): moves each clean estimate c to the minimum of γ
    E(x)/N + |x - c|²/2V.

    V is the variance that the clean value has given the noisy one. For Gaussian data and a
    quadratic E the minimum is the mean of the tilted posterior, exactly; a step of first order in V
    is not (at V times curvature above 2 it even diverges). Coordinates move, and the lattice where
    the potential has a stress. A crystal for which there is no energy keeps its estimate for that
    step and is counted.

    Args:
        evaluate: The potential.
        elements: Atomic numbers that it knows.
        guidance_scale: γ, 1/(eV/atom); 0 is no guidance.
        window: Times at which it acts, where the noise of the coordinates is below 0.15 as well.
        max_shift: Largest move of an atom, in fractional units (of molecules in Å), and largest
            strain of the cell, for one estimate.
        variances: Of the data by component; None takes 1/12 for coordinates, 1 for standardised
            lattice numbers.
        species: Given atomic numbers, shape (atoms,); None takes the likeliest class of the
            prediction.
        usage: Where the cost is counted.

    Source: Jiao et al. 2023 and DAO steer the reverse step; the proximal form is that of Chung et
    al. 2024 (decomposed diffusion sampling) with V in place of a fixed weight.
    """

    evaluate: Evaluate
    elements: frozenset[int]
    guidance_scale: float = 1.0
    window: tuple[float, float] = (0.0, 0.75)
    max_shift: float = 0.05
    variances: Mapping[str, float] | None = None
    species: Int[Tensor, " atoms"] | None = None
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        check_settings(self.guidance_scale, self.window, self.max_shift)

    def given_species(self, species: Int[Tensor, " atoms"]) -> "CleanEnergyGuidance":
        return replace(self, species=species)

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        if self.guidance_scale == 0:
            return denoise
        if POSITIONS in joint.components:
            return guided_places(self, denoise, joint, layout)

        def guided(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            noise = scales(joint.components["frac_coords"], t)[1]
            if not self.window[0] <= t <= self.window[1] or noise > MAX_NOISE:
                return prediction
            started = time.perf_counter()
            moved = _Estimate(self, joint, layout, state, prediction, t).guided()
            self.usage.seconds += time.perf_counter() - started
            return moved

        return guided


def check_settings(guidance_scale: float, window: tuple[float, ...], max_shift: float) -> None:
    """Refuses settings that mean nothing.

    Raises:
        InputError: If there are any.
    """
    arguments.not_negative("guidance_scale", guidance_scale, "1/(eV/atom)")
    if len(window) != 2 or not 0 <= window[0] < window[1] <= 1:
        raise InputError(f"window must be two times, 0 ≤ first < last ≤ 1, got {window!r}.")
    arguments.above_zero("max_shift", max_shift, "fractional units")


class _Estimate:
    """The clean estimate at one step, in double precision, and the way to a lower energy."""

    def __init__(
        self,
        guidance: CleanEnergyGuidance,
        joint: JointProcess,
        layout: Layout,
        state: NoisyState,
        prediction: Prediction,
        t: float,
    ) -> None:
        self.guidance, self.joint, self.layout = guidance, joint, layout
        self.state, self.prediction, self.t = state, prediction, t
        self.parts: dict[str, Component] = {
            n: joint.components[n] for n in ("frac_coords", "lattice")
        }
        self.clean = {n: joint.clean(n, state, prediction, t, layout).double() for n in self.parts}
        self.index = {
            "frac_coords": layout.batch_index,
            "lattice": torch.arange(layout.num_crystals, device=layout.device),
        }
        self.species = (
            joint.clean("species", state, prediction, t, layout).argmax(-1)
            if guidance.species is None
            else guidance.species
        )
        self.atoms = self.species != VACANCY
        self.count = torch.zeros(layout.num_crystals, dtype=torch.long, device=layout.device)
        self.count = self.count.index_add(0, layout.batch_index, self.atoms.long())
        self.deviation = {n: self._deviation(c) for n, c in self.parts.items()}
        cell = self.parts["lattice"].representation.decode(self.clean["lattice"])
        unit = torch.eye(3, dtype=cell.dtype, device=cell.device)
        sound = torch.isfinite(cell).flatten(1).all(-1) & (volume(cell) > GATE_VOLUME)
        self.cell = torch.where(
            sound[:, None, None], cell, unit
        )  # crystals with another cell are not guided
        self.counted = False

    def _deviation(self, component: Component) -> float:
        given = self.guidance.variances or {}
        variance = given.get(component.name, component.representation.data_variance)
        return math.sqrt(posterior_variance(*scales(component, self.t), variance))

    def guided(self) -> Prediction:
        """The prediction that implies the guided estimate; rows that do not move keep theirs to the
        last bit.
        """
        start = {n: torch.zeros_like(x) for n, x in self.clean.items()}
        crystals = self.layout.num_crystals
        best, found = proximal_minimum(self.energy, start, self.index, crystals, self.confine)
        prediction = dict(self.prediction)
        for name in self.parts:
            moved = (best[name] != 0).any(-1) & found[self.index[name]]
            clean = self.place(best)[name].to(self.layout.dtype)
            wanted = self.joint.from_clean(name, self.state, clean, self.t, self.layout)
            prediction[name] = torch.where(moved[:, None], wanted, self.prediction[name])
        return prediction

    def place(self, u: Variables) -> Variables:
        """Coordinates and lattice numbers of variables, which are displacements in standard
        deviations.
        """
        frac = wrap(self.clean["frac_coords"] + self.deviation["frac_coords"] * u["frac_coords"])
        return {
            "frac_coords": frac,
            "lattice": self.clean["lattice"] + self.deviation["lattice"] * u["lattice"],
        }

    def confine(self, u: Variables) -> Variables:
        """Variables whose displacements obey `max_shift`."""
        limit = self.guidance.max_shift
        shift = self.deviation["frac_coords"] * torch.linalg.vector_norm(
            u["frac_coords"], dim=-1, keepdim=True
        )
        strain = torch.linalg.solve(
            self.cell, self.parts["lattice"].representation.decode(self.place(u)["lattice"])
        )
        strain = (
            (strain - torch.eye(3, dtype=strain.dtype, device=strain.device))
            .abs()
            .amax((1, 2))[:, None]
        )
        sizes = {"frac_coords": shift, "lattice": strain}
        return {n: x * (limit / sizes[n].clamp_min(1e-30)).clamp_max(1) for n, x in u.items()}

    def energy(
        self, u: Variables, chosen: Bool[Tensor, " crystals"]
    ) -> tuple[Float[Tensor, " crystals"], Variables]:
        """γ E/N and its gradient; infinite where there is none, which is counted."""
        placed = self.place(u)
        frac, numbers = placed["frac_coords"], placed["lattice"].detach()
        with torch.enable_grad():
            numbers = numbers.requires_grad_()
            cell = self.parts["lattice"].representation.decode(numbers)
        reasons = self._problems(frac, cell.detach(), chosen)
        usable = chosen.clone()
        usable[list(reasons)] = False
        value = frac.new_full((len(chosen),), torch.inf)
        slope = {"frac_coords": torch.zeros_like(frac), "lattice": torch.zeros_like(numbers)}
        if bool(usable.any()):
            rows = self.atoms & usable[self.layout.batch_index]
            batch = CrystalBatch(
                cell.detach()[usable], frac[rows], self.species[rows], self.count[usable]
            )
            found = self.guidance.evaluate(Configurations.from_crystals(batch))
            self.guidance.usage.evaluations += len(batch)
            self._fill(value, slope, found, batch, rows, usable, numbers, cell)
            where = torch.nonzero(usable).flatten().tolist()
            reasons |= {where[k]: reason for k, reason in found.failures.items()}
            for i in where:
                if not math.isfinite(value[i]):
                    reasons.setdefault(i, "the potential gave no finite energy or force")
        if not self.counted:  # a trial that fails later costs nothing but itself
            self.guidance.usage.unguided.update(
                re.sub(r"\d[\d.e+-]*", "#", reason) for reason in reasons.values()
            )
        self.counted = True
        return value, slope

    def _fill(
        self,
        value: Tensor,
        slope: Variables,
        found: Evaluation,
        batch: CrystalBatch,
        rows: Tensor,
        usable: Tensor,
        numbers: Tensor,
        cell: Tensor,
    ) -> None:
        """Writes energies and gradients where they belong."""
        energy, forces, stress = (x.to(numbers) for x in (found.energy, found.forces, found.stress))
        weight = self.guidance.guidance_scale / batch.num_atoms
        index = torch.repeat_interleave(
            torch.arange(len(batch), device=weight.device), batch.num_atoms
        )
        lost = (
            torch.zeros_like(energy).index_add(
                0, index, (~torch.isfinite(forces)).any(-1).to(energy)
            )
            > 0
        )
        value[usable] = torch.where(lost | ~torch.isfinite(energy), torch.inf, weight * energy)
        push = -(forces.unsqueeze(1) @ batch.lattice[index].transpose(1, 2)).squeeze(
            1
        )  # dE/dF = -f Lᵀ
        slope["frac_coords"][rows] = self.deviation["frac_coords"] * weight[index][:, None] * push
        # dE/dL = V L⁻ᵀ σ at fixed fractional coordinates; without a stress the lattice stays.
        pull = volume(batch.lattice)[:, None, None] * (
            torch.linalg.inv(batch.lattice).transpose(1, 2) @ stress
        )
        pull = torch.where(
            torch.isfinite(pull).flatten(1).all(-1)[:, None, None],
            weight[:, None, None] * pull,
            0.0,
        )
        outer = torch.zeros_like(cell)
        outer[usable] = pull
        (chained,) = torch.autograd.grad(cell, numbers, outer)
        slope["lattice"] += self.deviation["lattice"] * chained

    def _problems(
        self, frac: Tensor, cell: Float[Tensor, "crystals 3 3"], chosen: Bool[Tensor, " crystals"]
    ) -> dict[int, str]:
        """Why crystals are not shown to the potential at all."""
        density = volume(cell) / self.count.clamp_min(1)
        finite = torch.isfinite(cell).flatten(1).all(-1) & self._all_of(
            torch.isfinite(frac).all(-1)
        )
        known = self._all_of(
            torch.isin(
                self.species, torch.tensor([VACANCY, *self.guidance.elements], device=frac.device)
            )
        )
        a, b, c = cell.unbind(1)
        faces = torch.stack(
            [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], 1
        )
        spacing = volume(cell) / torch.linalg.vector_norm(faces, dim=-1).amax(-1).clamp_min(1e-30)
        sound = {
            "no atoms": self.count > 0,
            "a position or a cell is not finite": finite,
            "an element that the potential does not know": known,
            "the cell is too small or too large": (density > VOLUME_PER_ATOM[0])
            & (density < VOLUME_PER_ATOM[1]),
            "the cell is too thin": spacing > 2 * GATE_DISTANCE,
            "two atoms on each other": self._closest(frac, cell) > GATE_DISTANCE,
        }
        reasons: dict[int, str] = {}
        for reason, fine in sound.items():
            for i in torch.nonzero(chosen & ~fine).flatten().tolist():
                reasons.setdefault(i, reason)
        return reasons

    def _all_of(self, rows: Bool[Tensor, " atoms"]) -> Bool[Tensor, " crystals"]:
        """Whether something is true of all atoms of each crystal."""
        misses = torch.zeros_like(self.count).index_add(
            0, self.layout.batch_index, (self.atoms & ~rows).long()
        )
        return misses == 0

    def _closest(
        self, frac: Float[Tensor, "atoms 3"], cell: Float[Tensor, "crystals 3 3"]
    ) -> Float[Tensor, " crystals"]:
        """Shortest distance between different atoms; exact below half the thickness of the cell."""
        found = []
        for block in self.layout.blocks:
            points, present = block.view(frac), block.view(self.atoms)
            ways = shortest_image(points.unsqueeze(1) - points.unsqueeze(2))
            distances = torch.linalg.vector_norm(
                (ways.unsqueeze(-1) * cell[block.crystals][:, None, None]).sum(-2), dim=-1
            )
            same = torch.eye(block.size, dtype=torch.bool, device=frac.device)
            absent = same | ~(present.unsqueeze(1) & present.unsqueeze(2))
            found.append(distances.masked_fill(absent, torch.inf).flatten(1).amin(1))
        return torch.cat(found)
