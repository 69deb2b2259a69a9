"""Steers molecules toward low energy: places in open space, without a cell."""

import math
import re
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from ase_crysdiff.conditions.base import Context, Denoise
from ase_crysdiff.conditions.posterior import posterior_variance, scales
from ase_crysdiff.conditions.proximal import Variables, proximal_minimum
from ase_crysdiff.conditions.usage import Usage
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.networks.molecules.base import POSITIONS
from ase_crysdiff.potentials.base import Configurations, Evaluation
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

#: Standard deviation of what is believed of a place beyond which its estimate means nothing, Å.
MAX_SPREAD = 0.35


@runtime_checkable
class Guidance(Protocol):
    """What is read of `CleanEnergyGuidance`."""

    @property
    def evaluate(self) -> Callable[[Configurations], Evaluation]:
        """The potential."""
        ...

    @property
    def guidance_scale(self) -> float:
        """1/(eV/atom)."""
        ...

    @property
    def window(self) -> tuple[float, float]:
        """Times at which it acts."""
        ...

    @property
    def max_shift(self) -> float:
        """Largest move of an atom for one estimate, Å."""
        ...

    @property
    def usage(self) -> Usage:
        """Where the cost is counted."""
        ...


def guided_places(
    guidance: Guidance, denoise: Denoise, joint: JointProcess, layout: Layout
) -> Denoise:
    """The denoiser whose estimate of the places is moved to where γ E/N and the distance to the
    estimate, in units of what the noise leaves open, are lowest together.

    A molecule for which there is no energy keeps its estimate for that step and is counted.

    Args:
        guidance: Potential and settings; species are given.
        denoise: The denoiser.
        joint: With places alone.
        layout: Rows of each molecule.
    """
    component = joint.components[POSITIONS]
    unit = float(component.representation.decode(torch.ones(1, 3))[0, 0])  # Å

    def guided(state: NoisyState, t: float, context: Context) -> Prediction:
        prediction = denoise(state, t, context)
        deviation = math.sqrt(posterior_variance(*scales(component, t), 1.0))
        if not guidance.window[0] <= t <= guidance.window[1] or deviation * unit > MAX_SPREAD:
            return prediction
        started = time.perf_counter()
        clean = joint.clean(POSITIONS, state, prediction, t, layout).double()
        sheet = _Sheet(guidance, layout, clean * unit, deviation * unit, context["species"])
        start = {POSITIONS: torch.zeros_like(clean)}
        index = {POSITIONS: layout.batch_index}
        best, found = proximal_minimum(
            sheet.energy, start, index, layout.num_crystals, sheet.confine
        )
        away = best[POSITIONS]
        moved = (away != 0).any(-1) & found[layout.batch_index]
        wanted = joint.from_clean(
            POSITIONS, state, (clean + deviation * away).to(layout.dtype), t, layout
        )
        guidance.usage.seconds += time.perf_counter() - started
        return {
            **prediction,
            POSITIONS: torch.where(moved[:, None], wanted, prediction[POSITIONS]),
        }

    return guided


class _Sheet:
    """Energies of molecules near their estimates, Å."""

    def __init__(
        self,
        guidance: Guidance,
        layout: Layout,
        places: Float[Tensor, "atoms 3"],
        deviation: float,
        species: Int[Tensor, " atoms"],
    ) -> None:
        self.guidance, self.layout = guidance, layout
        self.places, self.deviation, self.species = places, deviation, species
        self.counted = False

    def confine(self, u: Variables) -> Variables:
        """Variables whose displacements obey `max_shift`."""
        away = u[POSITIONS]
        size = self.deviation * torch.linalg.vector_norm(away, dim=-1, keepdim=True)
        return {POSITIONS: away * (self.guidance.max_shift / size.clamp_min(1e-30)).clamp_max(1)}

    def energy(
        self, u: Variables, chosen: Bool[Tensor, " crystals"]
    ) -> tuple[Float[Tensor, " crystals"], Variables]:
        """γ E/N and its gradient; infinite where there is none, which is counted."""
        places = self.places + self.deviation * u[POSITIONS]
        value = places.new_full((len(chosen),), torch.inf)
        slope = torch.zeros_like(places)
        rows = chosen[self.layout.batch_index]
        count = self.layout.num_atoms[chosen]
        cells = places.new_zeros(len(count), 3, 3)
        periodic = torch.zeros(len(count), 3, dtype=torch.bool, device=places.device)
        found = self.guidance.evaluate(
            Configurations(places[rows], cells, periodic, self.species[rows], count)
        )
        self.guidance.usage.evaluations += len(count)
        energy, forces = found.energy.to(places), found.forces.to(places)
        weight = self.guidance.guidance_scale / count
        of_atom = torch.repeat_interleave(torch.arange(len(count), device=places.device), count)
        broken = (~torch.isfinite(forces)).any(-1).to(energy)
        lost = torch.zeros_like(energy).index_add(0, of_atom, broken) > 0
        value[chosen] = torch.where(lost | ~torch.isfinite(energy), torch.inf, weight * energy)
        push = -self.deviation * weight[of_atom][:, None] * forces
        slope[rows] = torch.where(torch.isfinite(push), push, 0.0)
        if not self.counted:  # a trial that fails later costs nothing but itself
            self.guidance.usage.unguided.update(
                re.sub(r"\d[\d.e+-]*", "#", reason) for reason in found.failures.values()
            )
        self.counted = True
        return value, {POSITIONS: slope}
