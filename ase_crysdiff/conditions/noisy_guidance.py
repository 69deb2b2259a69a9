"""Steers a sampler toward low energy by a model that knows the energy of noisy states."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch

from ase_crysdiff.conditions.base import Condition, Context, Denoise
from ase_crysdiff.conditions.energy_guidance import check_settings
from ase_crysdiff.conditions.posterior import scales
from ase_crysdiff.conditions.usage import Usage
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.processes.joint import Component, JointProcess, NoisyState, Prediction
from ase_crysdiff.processes.state import kept, replaced
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

_GUIDED = ("lattice", "frac_coords")
#: Of lattice numbers, small enough for strain to be proportional to it.
_STEP = 1e-4


@runtime_checkable
class NoisyEnergy(Protocol):
    """An energy per atom of noisy states, differentiable by the state."""

    def __call__(
        self,
        state: NoisyState,
        t: Float[Tensor, " crystals"],
        context: Mapping[str, Tensor],
        layout: Layout,
    ) -> Float[Tensor, " crystals"]:
        """Energies in eV/atom; `context` holds the species."""
        ...


@dataclass(frozen=True)
class NoisyEnergyGuidance(Condition):
    """Subtracts guidance_scale ∇E_t from the score of the noisy state: the law becomes p_t(x)
    exp(-guidance_scale E_t(x)).

    A score that changes by s moves the clean estimate by σ²s/α, where the state is α times the data
    plus noise σ (Tweedie's formula); the process turns the moved estimate into a prediction.
    Gaussian noise makes this exact. The flow on the torus has uniform noise in its place, for which
    σ = t/√12 is right to first order where the data vary slowly; sharp data get most of the shift
    of their mean, but only part of the narrowing. A scale γ other than the b of the training is an
    approximation as well, since γ E_t is not the E_t of γ E_0.

    Crystals whose elements or size the model has not seen, and those without a finite gradient, go
    their way and are counted.

    Args:
        energy: The model.
        joint: Processes and representations that it was trained on; the sampler's must have the
            same noise.
        elements: Atomic numbers that it knows.
        max_atoms: Largest crystal that it was trained on.
        guidance_scale: γ, 1/(eV/atom); 0 is no guidance.
        window: Times at which it acts.
        max_shift: Largest move of the clean estimate of an atom, in fractional units, and largest
            strain of its cell.
        species: Given atomic numbers, shape (atoms,).
        usage: Where the cost is counted: one evaluation and one gradient for each crystal and
            network evaluation.

    Source: DAO (GLAD-RUC 2025), energy-guided sampling; the published code scales ∇E_t by the
    variance of the reverse step and leaves √(1 - β) out, which differs at both ends of the plan.
    """

    energy: NoisyEnergy
    joint: JointProcess
    elements: frozenset[int]
    max_atoms: int
    guidance_scale: float = 1.0
    window: tuple[float, float] = (0.0, 0.75)
    max_shift: float = 0.05
    species: Int[Tensor, " atoms"] | None = None
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        check_settings(self.guidance_scale, self.window, self.max_shift)

    def given_species(self, species: Int[Tensor, " atoms"]) -> "NoisyEnergyGuidance":
        return replace(self, species=species)

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        """The guided denoiser.

        Raises:
            IncompatibleError: If the sampler generates species or its noise is not that of the
                model.
        """
        if self.guidance_scale == 0:
            return denoise
        self._check(joint)
        known = self._known(layout)

        def guided(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            signal = min(scales(joint.components[n], t)[0] for n in _GUIDED)
            if not self.window[0] <= t <= self.window[1] or t == 0 or signal == 0:
                return prediction
            started = time.perf_counter()
            tilted = self._tilted(prediction, state, t, joint, layout, known)
            self.usage.seconds += time.perf_counter() - started
            return tilted

        return guided

    def _check(self, joint: JointProcess) -> None:
        if set(joint.components) != set(_GUIDED) or self.species is None:
            raise IncompatibleError(
                "This energy is one of noisy positions and cells of given species, but the sampler "
                "generates species as well. "
                "Take a sampler for given compositions (dao-g-flow), or guide by a potential "
                "(dao-p)."
            )
        different = [
            n for n in _GUIDED if _noise(joint.components[n]) != _noise(self.joint.components[n])
        ]
        if different:
            raise IncompatibleError(
                "This energy was trained on other noise than the sampler's "
                f"({' and '.join(different)}). Train one for it "
                "(crysdiff train dao-p-noisy --sampler NAME --data labels.safetensors), or guide "
                "by a potential (dao-p)."
            )

    def _known(self, layout: Layout) -> Bool[Tensor, " crystals"]:
        """Crystals that the model can judge."""
        assert self.species is not None
        foreign = ~torch.isin(
            self.species, torch.tensor(sorted(self.elements), device=layout.device)
        )
        count = torch.zeros(layout.num_crystals, dtype=torch.long, device=layout.device)
        return (count.index_add(0, layout.batch_index, foreign.long()) == 0) & (
            layout.num_atoms <= self.max_atoms
        )

    def _tilted(
        self,
        prediction: Prediction,
        state: NoisyState,
        t: float,
        joint: JointProcess,
        layout: Layout,
        known: Tensor,
    ) -> Prediction:
        gradient, finite = self._gradient(state, t, layout)
        use = known & finite
        self.usage.evaluations += layout.num_crystals
        self.usage.unguided["an element or a size that the model does not know"] += int(
            (~known).sum()
        )
        self.usage.unguided["no finite gradient"] += int((known & ~finite).sum())
        result = dict(prediction)
        for name in _GUIDED:
            c = joint.components[name]
            level = c.representation.level
            rows = layout.broadcast(use, level)[:, None]
            times = torch.full((len(rows),), t, device=layout.device, dtype=layout.dtype)
            signal, noise = scales(c, t)
            shift = -self.guidance_scale * noise**2 / signal * gradient[name]
            shift = shift * self._shrink(c, shift, state[name], prediction[name], times)
            # Every process here is affine in the clean estimate: what a shift adds is the same at
            # any state.
            origin = kept(replaced(state, name, torch.zeros_like(shift)), name)
            added = c.process.from_clean(origin, shift, times)
            result[name] = torch.where(rows, prediction[name] + added, prediction[name])
        return result

    def _gradient(
        self, state: NoisyState, t: float, layout: Layout
    ) -> tuple[dict[str, Tensor], Bool[Tensor, " crystals"]]:
        """∂E_t/∂x of every component, and which crystals have finite ones; the others get zeros."""
        assert self.species is not None
        times = torch.full((layout.num_crystals,), t, device=layout.device, dtype=layout.dtype)
        with torch.enable_grad():
            leaves = {name: state[name].detach().requires_grad_() for name in _GUIDED}
            total = self.energy(leaves, times, {"species": self.species}, layout).sum()
            gradients = torch.autograd.grad(
                total, list(leaves.values()), allow_unused=True, materialize_grads=True
            )
        found = dict(zip(_GUIDED, gradients, strict=True))
        broken = (~torch.isfinite(found["lattice"])).any(-1).long()
        broken = broken.index_add(
            0, layout.batch_index, (~torch.isfinite(found["frac_coords"])).any(-1).long()
        )
        return {name: torch.nan_to_num(x, 0.0, 0.0, 0.0) for name, x in found.items()}, broken == 0

    def _shrink(
        self,
        c: Component,
        shift: Tensor,
        value: Tensor,
        prediction: Tensor,
        times: Float[Tensor, " rows"],
    ) -> Float[Tensor, "rows 1"]:
        """Factor that brings shifts of the clean estimate within `max_shift`."""
        size = torch.linalg.vector_norm(shift, dim=-1)
        if c.name == "lattice":
            clean = c.process.clean(value, prediction, times).double()
            cells = c.representation.decode(clean)
            # From a small step: a long way through the exponential of a lattice overflows. A cell
            # without volume has no strain: its inverse is not finite, and it is left alone.
            step = (_STEP / size.double().clamp_min(1e-30))[:, None] * shift.double()
            moved = c.representation.decode(clean + step) - cells
            size = (
                size
                / _STEP
                * (torch.linalg.inv_ex(cells).inverse @ moved).abs().amax((1, 2)).to(shift.dtype)
            )
        factor = (self.max_shift / size.clamp_min(1e-30)).clamp_max(1.0)
        return torch.where(torch.isfinite(size), factor, torch.zeros_like(factor))[:, None]


def _noise(c: Component) -> Any:
    """What tells one law of noise on one kind of numbers from another."""
    levels = tuple(scales(c, t) for t in (0.1, 0.5, 0.9))
    return type(c.process), levels, type(c.representation), vars(c.representation)
