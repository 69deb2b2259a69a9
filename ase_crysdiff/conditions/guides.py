"""Energies of noisy states by name: which names stand for one, and how weights become guidance."""

from functools import partial
from pathlib import Path
from typing import Any

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.energy_guidance import CleanEnergyGuidance
from ase_crysdiff.conditions.noisy_guidance import NoisyEnergyGuidance
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card, Kind
from ase_crysdiff.models.generative import GenerativeModel, load
from ase_crysdiff.models.recipe import kind_of
from ase_crysdiff.networks.base import Context
from ase_crysdiff.networks.noisy_energy import EnergyDenoiser
from ase_crysdiff.potentials.loading import as_potential
from ase_crysdiff.processes.joint import NoisyState
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.shapes import Tensor


def is_noisy_energy(name: str) -> bool:
    """Whether a name stands for an energy of noisy states: by the card of its weights, or by its
    recipe where there are none.
    """
    return kind_of(name) is Kind.NOISY_ENERGY


def load_noisy_energy(name: str, weights: str | Path | None = None) -> tuple[GenerativeModel, Card]:
    """A model whose denoiser is an `EnergyDenoiser`.

    Args:
        name: Of the weights.
        weights: Folder with other weights of the same kind; None takes `CRYSDIFF_WEIGHTS` or the
            shipped ones.

    Raises:
        CheckpointError: If the weights are missing, damaged or of another kind.
    """
    folder = weight_files.find(name, weights)
    card = weight_files.read_card(folder)
    if card.kind is not Kind.NOISY_ENERGY:
        raise CheckpointError(
            f"{folder} holds {card.name}, which knows no energy of noisy states. Train one that "
            "does: crysdiff train dao-p-noisy."
        )
    return load(folder)


def noisy_guidance(
    name: str, weights: str | Path | None = None, **settings: Any
) -> NoisyEnergyGuidance:
    """Guidance by the energy of noisy states.

    Args:
        name: Of the weights.
        weights: Folder with other weights of the same kind; None takes `CRYSDIFF_WEIGHTS` or the
            shipped ones.
        settings: Of `NoisyEnergyGuidance`: `guidance_scale`, `window`, `max_shift`, `usage`.
    """
    model, card = load_noisy_energy(name, weights)
    network = model.denoiser
    assert isinstance(network, EnergyDenoiser)

    def energy(state: NoisyState, t: Tensor, context: Context, layout: Layout) -> Tensor:
        return network.to(layout.device).energy(state, t, context, layout)

    return NoisyEnergyGuidance(
        energy, model.joint, frozenset(card.elements), model.state_space.max_atoms, **settings
    )


def energy(potential: str = "dao-p", **settings: Any) -> Condition:
    """Energy guidance by the name of a potential or of an energy of noisy states.

    Args:
        potential: The name.
        settings: `guidance_scale` in 1/(eV/atom), `window`, `max_shift`, `usage`.

    Raises:
        UnknownNameError: If there is no potential of that name.
        InputError: If a setting makes no sense.
    """
    if is_noisy_energy(potential):
        return noisy_guidance(potential, **settings)
    loaded = as_potential(potential)
    return CleanEnergyGuidance(partial(evaluate_each, loaded), loaded.elements, **settings)
