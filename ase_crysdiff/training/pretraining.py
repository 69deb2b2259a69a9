"""Pretraining of backbones without labels: autoencoding and latent flow matching, or denoising of
positions.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.geometry.torus import wrap
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.models.pretrained import BACKBONE, exportable_tensors, fill_parts
from ase_crysdiff.models.recipe import Recipe, Tensors
from ase_crysdiff.networks.graph import MASKED, CrystalGraph, Neighborhood, build_graph
from ase_crysdiff.networks.latent.crysldnet import CrysLDNet, Denoised, LatentOutput
from ase_crysdiff.networks.latent.decoders import Decoded, Decoders
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.shapes import Bool, Float, Tensor
from ase_crysdiff.training.denoising import VALIDATION_BATCH
from ase_crysdiff.training.graph_crystals import GraphBatch, GraphCrystals
from ase_crysdiff.training.masking import draw_masks
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Objective, Task
from ase_crysdiff.training.times import stratified_times

#: The flow is taught between these times, where both noise and latent are to be seen.
_TIMES = (0.01, 0.99)
#: Standard deviation over the atoms of a batch below which a number of the latents counts as
#: collapsing.
_LEAST_SPREAD = 0.5


class CrysLDNetObjective:
    """Autoencoding with hidden elements, and flow matching of the latents, whichever parts the
    network has.

    Where there are decoders, elements of some atoms are hidden, drawn anew at every step, and only
    those are to be told. The flow learns on the latents of the same pass. Latents that are all
    alike would be easiest to denoise; `spread` makes that expensive.

    Args:
        network: Which parts there are, and their targets. Its weights are passed to `loss`.
        weights: Of `elements`, `geometry`, `divergence`, `flow` and `spread`.
        masked: Share of the atoms whose elements are hidden.

    Source: CrysLDNet (2026), stages 1 and 2; errors of geometry are absolute and the divergence
    weighs 1e-5, as in its code. The spread's hinge is that of Bardes et al. 2022 (VICReg).
    """

    def __init__(self, network: CrysLDNet, weights: Mapping[str, float], masked: float) -> None:
        self.network, self.weights, self.masked = network, dict(weights), masked

    def loss(
        self, network: Callable[..., LatentOutput], batch: GraphBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, its parts, the share of hidden elements that are told right, and the spread of
        the latents.

        Args:
            network: The network, possibly wrapped.
            batch: Crystals with their edges.
            generator: Source of masks, times and noise.
        """
        graph, decoders = batch.graph, self.network.decoders
        crystals = graph.crystals
        if decoders is not None:
            is_masked = draw_masks(crystals.num_atoms, self.masked, generator)
            graph = graph.with_species(crystals.species.masked_fill(is_masked, MASKED))
        low, high = _TIMES
        t = (low + (high - low) * stratified_times(len(batch), generator)).to(
            crystals.lattice.dtype
        )
        output = network(
            graph, t, GeneratorStream(len(crystals.species), generator, crystals.lattice.dtype)
        )
        parts: dict[str, Tensor] = {}
        total = crystals.lattice.new_zeros(())
        if decoders is not None and output.decoded is not None:
            losses, errors = reconstruction(decoders, output.decoded, batch.graph, is_masked)
            losses["divergence"] = output.posterior.divergence().mean()
            total = total + sum(self.weights[name] * loss for name, loss in losses.items())
            parts |= losses | errors
        if output.denoised is not None:
            parts["flow"] = self._flow(output.denoised, t, batch)
            total = total + self.weights["flow"] * parts["flow"]
        spread = torch.sqrt(output.posterior.mean.var(0, unbiased=False) + 1e-6)
        total = total + self.weights["spread"] * functional.relu(_LEAST_SPREAD - spread).mean()
        parts |= {"latent_std": spread.mean(), "latent_std_min": spread.amin()}
        return total, {name: part.detach() for name, part in parts.items()}

    def _flow(self, denoised: Denoised, t: Tensor, batch: GraphBatch) -> Tensor:
        """Mean over the atoms of each crystal, then over crystals."""
        layout = batch.graph.crystals.layout
        rows = self.network.flow.loss(
            denoised.estimate, denoised.target, denoised.noisy, layout.broadcast(t, "atom")
        )
        return (rows / layout.broadcast(layout.num_atoms, "atom")).sum() / len(batch)


def reconstruction(
    decoders: Decoders, decoded: Decoded, graph: CrystalGraph, is_masked: Bool[Tensor, " atoms"]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Losses `elements` and `geometry`; the share of right elements, and the mean absolute error of
    each geometric number.

    Args:
        decoders: What made the estimates.
        decoded: The estimates.
        graph: The crystals as they are.
        is_masked: Atoms whose elements are to be told.
    """
    logits, truth = decoded.elements[is_masked], graph.crystals.species[is_masked]
    wanted = decoders.geometry.targets(graph.crystals)
    errors = {
        name: (decoded.geometry[name] - target).abs().mean() for name, target in wanted.items()
    }
    losses = {
        "elements": functional.cross_entropy(logits, truth),
        "geometry": torch.stack(list(errors.values())).sum(),
    }
    return losses, {"accuracy": (logits.argmax(-1) == truth).to(logits.dtype).mean(), **errors}


class DisplacementObjective:
    """Atoms are displaced at random and the network tells by how much, in units of the deviation
    drawn for each crystal.

    Edges and distance profiles are found anew for the displaced crystals; those of the crystals as
    they were would give the answer away. A common displacement of all atoms cannot be seen and is
    taken out.

    Args:
        neighborhood: Of the backbone.
        deviations: Standard deviations to draw from, Å per component.

    Source: Orb (Neumann et al. 2024), pretraining; its noise levels are not public, these are ours.
    """

    def __init__(self, neighborhood: Neighborhood, deviations: Sequence[float]) -> None:
        self.neighborhood, self.deviations = neighborhood, tuple(deviations)

    def loss(
        self, network: Callable[..., Tensor], batch: GraphBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean squared error, which is 1 for a network that says nothing.

        Args:
            network: A `DisplacementNetwork`, possibly wrapped.
            batch: Crystals as they are.
            generator: Source of deviations and displacements.
        """
        crystals = batch.graph.crystals
        layout = crystals.layout
        levels = torch.tensor(
            self.deviations, device=crystals.lattice.device, dtype=crystals.lattice.dtype
        )
        level = torch.randint(
            len(levels), (len(batch),), generator=generator, device=generator.device
        )
        noise = layout.centred(
            GeneratorStream(len(crystals.species), generator, crystals.lattice.dtype).normal(3)
        )
        graph = displaced(
            batch.graph,
            noise * layout.broadcast(levels[level], "atom").unsqueeze(-1),
            self.neighborhood,
        )
        squares = (network(graph, levels[level]) - noise).square().mean(-1)
        # Centring takes one atom's share of the variance of each crystal.
        total = squares.sum() / (layout.num_atoms - 1).sum().clamp_min(1)
        return total, {"denoising": total.detach()}


def displaced(
    graph: CrystalGraph, steps: Float[Tensor, "atoms 3"], neighborhood: Neighborhood
) -> CrystalGraph:
    """The graph of crystals whose atoms have moved by these steps, Å."""
    crystals = graph.crystals
    inverse = torch.linalg.inv(crystals.lattice)[crystals.layout.batch_index]
    frac_coords = wrap(crystals.frac_coords + torch.einsum("ai,aij->aj", steps, inverse))
    moved = type(crystals)(crystals.lattice, frac_coords, crystals.species, crystals.num_atoms)
    return build_graph(moved, neighborhood)


def pretraining_task(
    network: nn.Module,
    neighborhood: Neighborhood,
    objective: Objective,
    config: Mapping[str, Any],
    data: PackedCrystals,
    settings: TrainSettings,
    device: torch.device,
    validation: PackedCrystals | None = None,
    targets: Callable[[PackedCrystals], Tensor | None] = lambda data: None,
) -> Task:
    """The training of a backbone and what is around it.

    Args:
        network: Its weights are changed in place.
        neighborhood: Of the backbone.
        objective: What is minimised.
        config: The names and numbers the network was built from.
        data: Training crystals.
        settings: `batch_size` counts here.
        device: Where the batches live.
        validation: Crystals for the validation loss.
        targets: What is known of crystals, shape (crystals, values); None if there is nothing.
    """

    def batches(part: PackedCrystals, size: int) -> GraphCrystals:
        return GraphCrystals(part, neighborhood, size, device, targets(part))

    training = batches(data, settings.batch_size)
    held_out = None if validation is None else batches(validation, VALIDATION_BATCH)
    return Task(network, config, training, objective, held_out, {"data": data.digest})


class PretrainingRecipe(Recipe):
    """A backbone that others begin with; `build`, `configure` and `objective` are to be written,
    and `targets` if it learns from labels.

    What surrounds the backbone may change from one stage of pretraining to the next, and only the
    parts that the first stage has begin with its weights.
    """

    kind: ClassVar[Kind] = Kind.ENCODER
    #: Of the default config: one that a CPU can train.
    backbone: ClassVar[Config] = {
        "name": "pddformer",
        "hidden": 96,
        "layers": 3,
        "neighbors": 12,
        "profile": 24,
    }

    @abstractmethod
    def objective(self, network: Any, config: Config) -> Objective:
        """What such a network is trained for."""

    def targets(self, config: Config, data: PackedCrystals) -> Tensor | None:
        """What is known of crystals, shape (crystals, values); None, which is the default, if
        nothing is.
        """
        return None

    def load_data(self, path: Path) -> PackedCrystals:
        return PackedCrystals.load(path)

    def task(
        self,
        model: Any,
        config: Config,
        data: PackedCrystals,
        settings: TrainSettings,
        device: torch.device,
        validation: PackedCrystals | None = None,
    ) -> Task:
        aim, neighborhood = self.objective(model, config), model.backbone.neighborhood
        return pretraining_task(
            model,
            neighborhood,
            aim,
            config,
            data,
            settings,
            device,
            validation,
            partial(self.targets, config),
        )

    def fixed_by_origin(self, changes: Config) -> list[str]:
        return [key for key in changes if key == BACKBONE]

    def fill(self, model: nn.Module, tensors: Tensors, source: Path) -> None:
        fill_parts(model, tensors, source)

    def exported(
        self, config: Config, tensors: Tensors, whole: bool = False
    ) -> tuple[Config, Tensors]:
        return config, tensors if whole else exportable_tensors(tensors)
