"""Weights as samplers: what the entry points of `ase_crysdiff.samplers` name."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from ase_crysdiff.crystal.state_space import MirageSpace, StateSpace
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card, SamplingSettings
from ase_crysdiff.models.frameworks import load_framework_model
from ase_crysdiff.models.generative import load
from ase_crysdiff.models.scaffolds import WYCKOFF, load_scaffold_model
from ase_crysdiff.models.site_elements import load_exchange
from ase_crysdiff.networks.scaffolds.decoding import ScaffoldDecoder
from ase_crysdiff.prototypes.exchange import RandomExchange
from ase_crysdiff.prototypes.frameworks.library import FrameworkLibrary
from ase_crysdiff.prototypes.learned_exchange import LearnedExchange
from ase_crysdiff.prototypes.library import Library
from ase_crysdiff.prototypes.retrieval import Vote
from ase_crysdiff.sampling.framework_prototype_sampler import FrameworkPrototypeSampler
from ase_crysdiff.sampling.framework_sampler import FrameworkSampler, RandomAssembly
from ase_crysdiff.sampling.known_sites import KnownSites
from ase_crysdiff.sampling.model_sampler import ModelSampler
from ase_crysdiff.sampling.proposals import Proposals
from ase_crysdiff.sampling.prototype_sampler import PrototypeSampler
from ase_crysdiff.sampling.weighing import Weighing
from ase_crysdiff.sampling.wyckoff_sampler import WyckoffSampler


def load_sampler(name: str, weights: str | Path | None = None, device: str = "cpu") -> ModelSampler:
    """The sampler of a model.

    Args:
        name: Name of the model, and of the folder of its weights.
        weights: Folder with other weights of the same kind; None takes `CRYSDIFF_WEIGHTS` or the
            shipped ones.
        device: Where to compute, as torch spells it.

    Raises:
        CheckpointError: If the weights are missing, damaged or none of a sampler.
    """
    folder = weight_files.find(name, weights)
    kind = weight_files.read_card(folder).config.get("kind", "sampler")
    if kind != "sampler":
        raise CheckpointError(
            f"{folder} holds a {kind}, from which nothing can be drawn. Give the weights of a "
            "sampler."
        )
    model, card = load(folder)
    settings = card.sampling or SamplingSettings()
    proposals = settings.scaffolds and partial(scaffold_proposals, settings.scaffolds)
    sites = settings.known_sites and partial(known_sites, settings, model.state_space)
    return ModelSampler(model, card, torch.device(device), proposals or None, sites or None)


def prototypes(weights: str | Path | None = None, device: str = "cpu") -> PrototypeSampler:
    """The sampler of a library of prototypes, which needs no device. New crystals get their
    elements from the model of `site-elements`.

    Args:
        weights: Folder with another library, as `crysdiff train prototypes` makes it; None takes
            `CRYSDIFF_WEIGHTS` or the shipped one.
        device: Left unused.

    Raises:
        CheckpointError: If the library is missing, damaged or something else.
    """
    return _known(weights)


def random_exchange(weights: str | Path | None = None, device: str = "cpu") -> PrototypeSampler:
    """The row that every table of free draws needs: known crystals whose elements are exchanged by
    chance, by their distance alone. What does no better has learnt no chemistry.

    Args:
        weights: Folder with another library than that of `prototypes`.
        device: Left unused.

    Raises:
        CheckpointError: If the library is missing, damaged or something else.
    """
    library, card = _library(weights)
    # By name, since `prototypes` may exchange in better ways.
    chance = RandomExchange(library.distance, library.elements, **card.config["exchange"])
    return PrototypeSampler(library, card, chance)


def wyckoff(weights: str | Path | None = None, device: str = "cpu") -> WyckoffSampler:
    """The sampler of scaffolds: arrangements by the model of `wyckoff` and the library of
    `prototypes` together, geometry by templates or by `dao-g-flow`.

    Args:
        weights: Folder with another model of scaffolds; None takes `CRYSDIFF_WEIGHTS` or the
            shipped one.
        device: Where geometry is computed.

    Raises:
        CheckpointError: If weights are missing, damaged or those of something else.
    """
    card = weight_files.read_card(weight_files.find(WYCKOFF, weights))
    geometry = load_sampler("dao-g-flow", device=device)
    odds = {int(n): float(x) for n, x in card.config.get("template_odds", {}).items()}
    return WyckoffSampler(scaffold_proposals(WYCKOFF, weights), card, geometry, _known(None, odds))


def mofflow(weights: str | Path | None = None, device: str = "cpu") -> FrameworkSampler:
    """The sampler that assembles frameworks from building blocks.

    Args:
        weights: Folder with other weights; None takes `CRYSDIFF_WEIGHTS` or the shipped ones.
        device: Where to compute, as torch spells it.

    Raises:
        CheckpointError: If the weights are missing, damaged or those of something else.
    """
    return FrameworkSampler(*load_framework_model(weights=weights), torch.device(device))


def framework_prototypes(
    weights: str | Path | None = None, device: str = "cpu"
) -> FrameworkPrototypeSampler:
    """The sampler that puts building blocks into the places of those of known frameworks.

    Args:
        weights: Folder with another library, as `crysdiff train framework-prototypes` makes it;
            None takes `CRYSDIFF_WEIGHTS` or the shipped one.
        device: Left unused.

    Raises:
        CheckpointError: If the library is missing, damaged or something else.
    """
    name = "framework-prototypes"
    what = "a library of frameworks"
    _, card, tensors = weight_files.read_made_by(name, what, name, weights)
    return FrameworkPrototypeSampler(FrameworkLibrary.of(tensors), card)


def random_assembly(weights: str | Path | None = None, device: str = "cpu") -> RandomAssembly:
    """Building blocks anywhere in a cell: what every table of assembled frameworks is measured
    against.

    Args:
        weights: Folder with other weights of `mofflow`, for the cells of their training data.
        device: Left unused.

    Raises:
        CheckpointError: If the weights are missing, damaged or those of something else.
    """
    return RandomAssembly(*load_framework_model(weights=weights))


def scaffold_proposals(name: str, weights: str | Path | None = None) -> Proposals:
    """What proposes scaffolds for compositions: a model and the library of `prototypes`.

    Args:
        name: Of the model of scaffolds, and of the folder of its weights.
        weights: Folder with another model; None takes `CRYSDIFF_WEIGHTS` or the shipped one.

    Raises:
        CheckpointError: If weights are missing, damaged or those of something else.
    """
    network, card = load_scaffold_model(name, weights)
    library, about = _library(None)
    sizes = {int(n): int(count) for n, count in card.config["sizes"].items()}
    weighing = Weighing(**card.config.get("weighing", {}))
    vote = Vote(**about.config["vote"])
    return Proposals(library, vote, ScaffoldDecoder(network), weighing, sizes)


def known_sites(settings: SamplingSettings, space: StateSpace) -> KnownSites:
    """The sites of known crystals for a model that may leave some of them empty.

    Args:
        settings: Name the library, and the odds of further sites.
        space: Of the model.

    Raises:
        CheckpointError: If the library is missing, damaged or something else.
        InputError: If the model has no spare rows.
    """
    if not isinstance(space, MirageSpace) or space.spare is None:
        raise InputError("known_sites of a card needs a model with odds of spare rows.")
    library, _ = _library(None, settings.known_sites or "prototypes")
    spare = space.spare if settings.spare_sites is None else settings.spare_sites
    return KnownSites(library, space.max_atoms, spare, space.max_rows)


def _known(weights: str | Path | None, odds: Mapping[int, float] | None = None) -> PrototypeSampler:
    """Known crystals that get their elements from the model of `site-elements`."""
    library, card = _library(weights)
    learned = LearnedExchange(load_exchange(), library.elements)
    return PrototypeSampler(library, card, learned, odds)


def _library(weights: str | Path | None, name: str = "prototypes") -> tuple[Library, Card]:
    folder = weight_files.find(name, weights)
    card, tensors = weight_files.read(folder)
    if card.config.get("recipe") != "prototypes":
        raise CheckpointError(
            f"{folder} holds {card.name!r}, not a library of prototypes. Make one with: crysdiff "
            "train prototypes --data packed.safetensors"
        )
    return Library.of(tensors), card


miad = partial(load_sampler, "miad")
dao_g = partial(load_sampler, "dao-g")
dao_g_flow = partial(load_sampler, "dao-g-flow")
dao_g_perov5 = partial(load_sampler, "dao-g-perov5")
crysbfn = partial(load_sampler, "crysbfn")
