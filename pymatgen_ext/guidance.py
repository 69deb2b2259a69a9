"""`EnergyGuidance`: steers any sampler toward low energy, by any potential or by an energy of noisy
states.
"""

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import torch
from monty.json import MSONable

from ase_crysdiff import registry
from ase_crysdiff.conditions.base import Condition, Denoise
from ase_crysdiff.conditions.energy_guidance import CleanEnergyGuidance, check_settings
from ase_crysdiff.conditions.guides import is_noisy_energy, noisy_guidance
from ase_crysdiff.conditions.noisy_guidance import NoisyEnergyGuidance
from ase_crysdiff.conditions.usage import Usage
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.processes.joint import JointProcess
from ase_crysdiff.relaxation.evaluation import evaluate_each


class EnergyGuidance(MSONable, Condition):
    """Samples from p(x) exp(-guidance_scale E/N), where p is what the sampler has learnt and E/N
    the energy per atom.

    Pass it as `conditions=[EnergyGuidance(...)]`. Each clean estimate of the sampler moves to where
    the energy and the distance to the estimate, in units of what the noise still leaves open, are
    lowest together; that takes up to four evaluations of the potential for one of the network. With
    a model that knows the energy of noisy states ("dao-p-noisy") the score of the state itself is
    tilted, at one evaluation and its gradient; that needs a sampler for given compositions. What
    they cost, and for how many steps a crystal had no energy and went its way unguided, is in the
    `guidance` of the report.

    Args:
        potential: Name of a potential ("dao-p", "chgnet") or of an energy of noisy states
            ("dao-p-noisy"), a potential, or any ASE calculator.
        guidance_scale: 1/(eV/atom). 0 is exactly unguided; 1 is weak, as it stands for a
            temperature of 1 eV/atom.
        window: Times (0 = data, 1 = noise) at which it may act. Where the noise on the coordinates
            is above 0.15 of a cell edge, their clean estimate means nothing and a potential never
            acts.
        max_shift: Largest move of an atom for one estimate, as a fraction of the cell, and largest
            strain of the cell.

    Raises:
        InputError: If a setting makes no sense.
        UnknownNameError: If there is no potential of that name.
    """

    def __init__(
        self,
        potential: PotentialLike,
        guidance_scale: float = 1.0,
        window: tuple[float, float] = (0.0, 0.75),
        max_shift: float = 0.05,
    ) -> None:
        try:
            self.guidance_scale, self.max_shift = float(guidance_scale), float(max_shift)
            self.window = tuple(float(t) for t in window)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"guidance_scale and max_shift must be numbers and window two numbers: {error}."
            ) from error
        check_settings(self.guidance_scale, self.window, self.max_shift)
        if isinstance(potential, str) and not is_noisy_energy(potential):
            registry.load(
                registry.POTENTIALS, potential
            )  # raises on an unknown name; weights are read at first use
        self.potential: str | Potential = (
            potential if isinstance(potential, str) else as_potential(potential)
        )
        self.usage = Usage()
        self._core: CleanEnergyGuidance | NoisyEnergyGuidance | None = None

    def __repr__(self) -> str:
        given = self.potential if isinstance(self.potential, str) else self.potential.name
        return f"EnergyGuidance({given!r}, guidance_scale={self.guidance_scale:g})"

    def given_species(self, species: torch.Tensor) -> Condition:
        return self._loaded().given_species(species)

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        return denoise if self.guidance_scale == 0 else self._loaded().wrap(denoise, joint, layout)

    def take_usage(self) -> dict[str, float]:
        """What it has cost since it was last asked, by name."""
        return self.usage.take()

    def as_dict(self) -> dict[str, Any]:
        """Names and numbers, for workflows.

        Raises:
            InputError: If the potential was not given by name.
        """
        if not isinstance(self.potential, str):
            raise InputError(
                "Only guidance by a potential's name can be stored, not by the object "
                f"{self.potential.name!r}. "
                "Pass a name such as 'dao-p'; register your own potential under one if need be."
            )
        plain = {"potential": self.potential, "guidance_scale": self.guidance_scale}
        plain |= {"window": list(self.window), "max_shift": self.max_shift}
        return {"@module": type(self).__module__, "@class": type(self).__name__, **plain}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "EnergyGuidance":
        """The inverse of `as_dict`."""
        return cls(**{k: v for k, v in d.items() if not k.startswith("@")})

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_core": None}  # worker processes load the potential themselves

    def _loaded(self) -> CleanEnergyGuidance | NoisyEnergyGuidance:
        if self._core is None:
            names = ("guidance_scale", "window", "max_shift", "usage")
            settings: dict[str, Any] = {name: getattr(self, name) for name in names}
            if isinstance(self.potential, str) and is_noisy_energy(self.potential):
                self._core = noisy_guidance(self.potential, **settings)
            else:
                potential = (
                    _named(self.potential) if isinstance(self.potential, str) else self.potential
                )
                self._core = CleanEnergyGuidance(
                    partial(evaluate_each, potential), potential.elements, **settings
                )
        return self._core


@lru_cache(maxsize=4)
def _named(name: str) -> Potential:
    """A potential by name, read once per process."""
    return as_potential(name)
