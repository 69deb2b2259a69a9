"""Potentials by name: what the entry points of `ase_crysdiff.potentials` name, and how shipped
weights become one.
"""

from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch

from ase_crysdiff import registry
from ase_crysdiff.devices import resolve
from ase_crysdiff.errors import (
    CheckpointError,
    IncompatibleError,
    InputError,
    NeedsWeightsError,
)
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.models.recipe import kind_of, recipe
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.familiarity import Familiarity
from ase_crysdiff.potentials.levels import level_energies
from ase_crysdiff.potentials.neural import NeuralPotential
from ase_crysdiff.potentials.reference_energies import check_reference_energies

#: What stands for a potential: a name, a potential or an ASE calculator.
PotentialLike: TypeAlias = "str | Potential | Any"


@own_state()
def load_potential(
    name: str,
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Potential:
    """A potential by name.

    Args:
        name: Registered name, such as `dao-p` or `chgnet`.
        weights: Folder with other weights of the same kind; None takes `CRYSDIFF_WEIGHTS` or the
            shipped ones.
        device: Where to compute.
        dtype: Number format to compute in.

    Raises:
        UnknownNameError: If there is no such potential.
        CheckpointError: If the weights are missing, damaged, or do not reproduce the energies on
            their card.
        IncompatibleError: If the potential cannot compute in this dtype, or the name stands for an
            energy of noisy states.
    """
    if kind_of(name) is Kind.NOISY_ENERGY:
        raise IncompatibleError(
            f"{name!r} knows the energy of a sampler's noisy states and guides samplers: "
            f"EnergyGuidance({name!r}). It is no "
            "potential: its energy depends on the choice of the cell and gives no forces to trust. "
            "Use 'dao-p'."
        )
    make = registry.load(registry.POTENTIALS, name)
    potential: Potential = make(weights=weights, device=device, dtype=dtype)
    return potential


@own_state()
def as_potential(potential: PotentialLike) -> Potential:
    """The potential of a name, of an ASE calculator or itself.

    Args:
        potential: A registered name, which then runs on a GPU where there is one; a potential; or
            any ASE calculator.

    Raises:
        UnknownNameError: If there is no potential of that name.
        InputError: If it is something else.
    """
    if isinstance(potential, Potential):
        return potential
    if isinstance(potential, str):
        return load_potential(potential, device=resolve("auto"))
    inner = getattr(potential, "potential", None)
    if isinstance(
        inner, Potential
    ):  # one of our calculators: its potential computes many systems at once
        return inner
    from ase_crysdiff.potentials.from_calculator import CalculatorPotential

    return CalculatorPotential(potential)


def neural(
    name: str,
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> NeuralPotential:
    """The potential of a folder of weights. It must give the reference energies on its card before
    anybody may use it.
    """
    folder = weight_files.find(name, weights)
    card, tensors = weight_files.read(folder)
    if card.kind is not Kind.POTENTIAL:
        raise CheckpointError(
            f"{folder} holds {card.name}, which is no potential. Give weights that crysdiff train "
            "dao-p made."
        )
    network = recipe(card.config["recipe"]).build(card.config)
    weight_files.fill(network, tensors, folder / weight_files.WEIGHTS)
    known = Familiarity.load(folder, card)
    potential = assemble(card.name, network, card.config, torch.device(device), dtype, known)
    potential.rank_prior = float(card.config.get("rank_prior", potential.rank_prior))
    expected = card.config.get("reference_energies", {})
    if not expected:
        raise CheckpointError(
            f"The card of {folder} has no reference energies to check the weights with. Export "
            "them again."
        )
    check_reference_energies(potential, expected)
    return potential


def assemble(
    name: str,
    network: Any,
    config: Config,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    familiarity: Familiarity | None = None,
) -> NeuralPotential:
    """A network and what its config says, and what it has learnt from, as a potential."""
    (elements,) = level_energies(config).values()
    return NeuralPotential(
        name,
        network,
        elements.references,
        config["elements"],
        device,
        dtype,
        {int(z): float(e) for z, e in config["formation_references"].items()},
        elements.depths,
        familiarity,
    )


def chgnet(
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Potential:
    """CHGNet; `weights` names one of the sets that its package brings."""
    if dtype != torch.float32:
        raise IncompatibleError(
            f"CHGNet computes in torch.float32 only, not {dtype}; dao-p knows both."
        )
    from ase_crysdiff.potentials.chgnet import CHGNetPotential

    return CHGNetPotential(str(weights or "0.3.0"), device)


def matgl(
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Potential:
    """A potential of matgl from a folder of its weights. It must give roughly the PBE energies of
    Si and NaCl: weights of older versions are read without complaint, and give wrong ones.

    Args:
        weights: The folder; nothing ships and nothing is downloaded.
        device: The CPU; matgl's calculator knows no other.
        dtype: Single precision.

    Raises:
        NeedsWeightsError: If no folder is given.
        InputError: If there is no such folder.
        IncompatibleError: If another device or dtype is asked for.
        CheckpointError: If the energies of the reference crystals are wrong.
    """
    if weights is None:
        raise NeedsWeightsError(
            "matgl's potentials ship without weights here: give the folder of a matgl model, "
            "load_potential('matgl', weights=FOLDER)."
        )
    if dtype != torch.float32 or torch.device(device).type != "cpu":
        raise IncompatibleError(
            f"matgl's calculator computes in torch.float32 on the CPU, not in {dtype} on {device}; "
            "dao-p knows both."
        )
    from ase_crysdiff.potentials.matgl import MatglPotential

    return MatglPotential(weights)


def sevennet(
    name: str,
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Potential:
    """SevenNet with the weights of a name that its package brings.

    Raises:
        InputError: If other weights are asked for.
        IncompatibleError: If another dtype than single precision is asked for.
        MissingExtraError: If the package is not installed.
    """
    if weights is not None:
        raise InputError(
            f"sevennet-{name} has the weights of its package, not {weights}. Give a calculator of "
            "yours in place of the name."
        )
    if dtype != torch.float32:
        raise IncompatibleError(
            f"SevenNet computes in torch.float32 only, not {dtype}; dao-p knows both."
        )
    from ase_crysdiff.potentials.sevennet import SevenNetPotential

    return SevenNetPotential(name, device)


dao_p = partial(neural, "dao-p")


def sevennet_0(
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Potential:
    """SevenNet-0, trained on MPtrj; needs the extra sevennet.

    Raises:
        InputError: If other weights are asked for.
        IncompatibleError: If another dtype than single precision is asked for.
        MissingExtraError: If the package is not installed.
    """
    return sevennet("0", weights, device, dtype)


def sevennet_l3i5(
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Potential:
    """SevenNet-l3i5, trained on MPtrj with higher orders; needs the extra sevennet.

    Raises:
        InputError: If other weights are asked for.
        IncompatibleError: If another dtype than single precision is asked for.
        MissingExtraError: If the package is not installed.
    """
    return sevennet("l3i5", weights, device, dtype)
