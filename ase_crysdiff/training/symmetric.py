"""Training of flows on crystals that keep their symmetry while noise is added.

The noise acts on the free numbers of a crystal, so the network sees what a sampler that is held in
a space group shows it. One set of weights serves plain and symmetric sampling: batches of both
kinds are mixed.

Source: Jiao et al. 2024 (DiffCSP++) and Puny et al. 2025 (SGFM) for noise in the symmetric
subspace; the free numbers of sites, in whose lattice basis uniform noise is uniform, are ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.state_space import MirageSpace
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.scaffolds import SCAFFOLDS_MISSING
from ase_crysdiff.data.spare_sites import with_spare_sites
from ase_crysdiff.data.symmetric_buckets import SymmetricBatch, SymmetricCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.lattice import gram
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.joint import Prediction
from ase_crysdiff.randomness import GeneratorStream, epoch_generator
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.symmetry.layouts import anchor_images, gram_average
from ase_crysdiff.training.denoising import (
    VALIDATION_BATCH,
    DenoisingObjective,
    denoising_task,
)
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Batches, Task
from ase_crysdiff.training.times import stratified_times


class SymmetricFlowObjective:
    """Flow matching of the free numbers of sites and of a lattice that keeps its symmetry.

    Args:
        model: A flow of lattice and coordinates for given species.

    Raises:
        InputError: If it is something else.
    """

    def __init__(self, model: GenerativeModel) -> None:
        parts = model.joint.components
        if not (
            isinstance(parts["lattice"].process, LinearFlow)
            and "frac_coords" in parts
            and isinstance(parts["frac_coords"].process, TorusFlow)
        ):
            raise InputError(
                "Symmetric training needs a flow of lattice and coordinates, such as dao-g-flow."
            )
        self.lattice, self.coords = parts["lattice"], parts["frac_coords"]
        self.species, self.space = parts.get("species"), model.state_space
        matrices, shifts, counts = anchor_images()
        self._images = torch.tensor(matrices, dtype=torch.float32)
        self._shifts = torch.tensor(shifts, dtype=torch.float32)
        self._most = torch.tensor(counts)
        averages = np.stack([np.eye(9), *(gram_average(n) for n in range(1, 231))])
        self._averages = torch.tensor(averages, dtype=torch.float32)

    def loss(
        self, denoiser: Callable[..., Prediction], batch: SymmetricBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts: of the lattice a mean over crystals, of the coordinates one
        over free numbers.
        """
        layout, kinds = batch.layout, batch.kinds
        batch = self._refreshed(batch, generator)
        t = stratified_times(len(batch), generator).to(layout.dtype)
        lattice, wanted_lattice = self._noisy_lattice(batch, t, generator)
        ways = self._ways(batch, generator)
        places = batch.free_numbers + t[:, None, None] * ways
        state = {"lattice": lattice, "frac_coords": wrap(kinds.atoms(places))}
        given = {"species": batch.species.flatten()}
        if self.species is not None:
            state |= {"species": self._noisy_species(batch, t, generator)}
            given = {}
        prediction = denoiser(state, t, given, layout)
        # A common shift of all atoms cannot be known: it is in neither target nor prediction.
        # Nor can it be known where an empty site goes, which therefore has no part in that shift.
        is_atom = (batch.species != VACANCY).flatten().to(layout.dtype)
        wanted = kinds.changes(layout.centred(kinds.moves(ways).flatten(0, 1), is_atom))
        found = kinds.changes(layout.centred(prediction["frac_coords"], is_atom))
        counted = kinds.free & (kinds.first(batch.species) != VACANCY).unsqueeze(-1)
        errors = ((found - wanted) ** 2)[counted]
        parts = {
            "lattice": ((prediction["lattice"] - wanted_lattice) ** 2).mean(),
            "frac_coords": errors.sum() / max(len(errors), 1),
        }
        weights = {"lattice": self.lattice.loss_weight, "frac_coords": self.coords.loss_weight}
        if self.species is not None:
            parts["species"] = self._species_loss(prediction["species"], state["species"], batch, t)
            weights["species"] = self.species.loss_weight
        total = sum(weights[name] * part for name, part in parts.items())
        assert isinstance(total, Tensor)
        return total, {f"symmetric_{name}": part.detach() for name, part in parts.items()}

    def _refreshed(self, batch: SymmetricBatch, generator: torch.Generator) -> SymmetricBatch:
        """The batch with empty sites at places drawn anew."""
        if not self.space.has_vacancies:
            return batch
        vacant = (batch.kinds.first(batch.species) == VACANCY).unsqueeze(-1)
        drawn = torch.rand(
            batch.free_numbers.shape, generator=generator, device=batch.free_numbers.device
        )
        return replace(batch, free_numbers=torch.where(vacant, drawn, batch.free_numbers))

    def _noisy_species(
        self, batch: SymmetricBatch, t: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Noised species, one for each site."""
        assert self.species is not None
        layout = batch.layout
        rng = GeneratorStream(layout.total_atoms, generator, layout.dtype)
        own = layout.broadcast(t, "atom")
        noisy, _ = self.species.process.corrupt(batch.species.flatten(), own, rng)
        return batch.kinds.first(noisy.view_as(batch.species)).gather(1, batch.kinds.site).flatten()

    def _species_loss(
        self, logits: Tensor, noisy: Tensor, batch: SymmetricBatch, t: Tensor
    ) -> Tensor:
        """The loss of the species of sites. Their logits are those that sampling draws from: the
        mean of the log-probabilities of their atoms.
        """
        assert self.species is not None
        kinds, species = batch.kinds, batch.species
        logs = torch.log_softmax(logits, -1).unflatten(0, species.shape)
        target = kinds.first(species)
        losses = self.species.process.loss(
            kinds.mean(logs).flatten(0, 1),
            target.flatten(),
            kinds.first(noisy.view_as(species)).flatten(),
            t.repeat_interleave(target.shape[1]),
        )
        weights = self.space.species_weights(target) * (kinds.multiplicity > 0)
        return (losses * weights.flatten()).sum() / weights.sum()

    @torch.no_grad()
    def _noisy_lattice(
        self, batch: SymmetricBatch, t: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Lattices on the way to symmetric noise, and the velocity that leads back to the clean
        one. The way is straight in the representation, then made symmetric again.
        """
        clean = self._encode(batch.lattice)
        draw = torch.randn(clean.shape, generator=generator, device=clean.device)
        noise = self._symmetric(draw, batch)
        noisy = self._symmetric(clean + t[:, None] * (noise - clean), batch)
        return noisy, (noisy - clean) / t[:, None]

    def _symmetric(self, values: Tensor, batch: SymmetricBatch) -> Tensor:
        """Lattice numbers with their scalar products averaged over each crystal's group."""
        products = gram(self.lattice.representation.decode(values)).double()
        matrices = self._averages.to(products.device)[batch.group].double()
        averaged = torch.einsum("cij,cj->ci", matrices, products.flatten(1)).unflatten(1, (3, 3))
        return self._encode(torch.linalg.cholesky(averaged).to(values.dtype))

    def _encode(self, lattice: Float[Tensor, "crystals 3 3"]) -> Tensor:
        return self.lattice.representation.encode(CrystalBatch.cells(lattice))

    @torch.no_grad()
    def _ways(self, batch: SymmetricBatch, generator: torch.Generator) -> Tensor:
        """From the free numbers of the data to uniform ones, each orbit to the nearest of the
        descriptions of its noise: else paths cross, and the velocity is an average over equivalent
        targets.
        """
        kinds, clean = batch.kinds, batch.free_numbers
        noise = torch.rand(clean.shape, generator=generator, device=clean.device)
        rows = kinds.positions
        most = int(self._most.to(rows.device)[rows].max())
        matrices = self._images.to(clean.device)[rows, :most]
        shifts = self._shifts.to(clean.device)[rows, :most]
        images = torch.einsum("cskij,csj->cski", matrices, noise) + shifts
        ways = shortest_image(images - clean.unsqueeze(2)) * kinds.free.unsqueeze(2)
        lengths = self._lengths(ways, batch)
        nearest = lengths.argmin(2)
        return ways.gather(2, nearest[..., None, None].expand(-1, -1, 1, 3)).squeeze(2)

    def _lengths(self, ways: Tensor, batch: SymmetricBatch) -> Tensor:
        """Squared Cartesian lengths of ways of each site's first point, Å²."""
        spread = batch.kinds.spread.unflatten(1, (-1, 3)).unflatten(-1, (-1, 3))
        first = (spread.abs().sum((2, 4)) > 0).float().argmax(1)  # (crystals, sites): an atom of it
        index = first[:, None, None, :, None].expand(-1, 1, 3, -1, 3)
        basis = spread.gather(1, index).squeeze(1).transpose(1, 2)  # (crystals, sites, 3, 3)
        moved = torch.einsum("csij,cskj->cski", basis, ways)
        return torch.einsum("cski,cij->cskj", moved, batch.lattice).square().sum(-1)


class MixedObjective:
    """The plain and the symmetric objective, each for batches of its kind.

    Args:
        model: See `SymmetricFlowObjective`.
    """

    def __init__(self, model: GenerativeModel) -> None:
        self.plain, self.symmetric = DenoisingObjective(model), SymmetricFlowObjective(model)

    def loss(
        self, denoiser: Callable[..., Prediction], batch: Any, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch by the objective of its kind."""
        objective = self.symmetric if isinstance(batch, SymmetricBatch) else self.plain
        return objective.loss(denoiser, batch, generator)


class MixedCrystals:
    """Plain and symmetric batches of the same crystals in turn, by chance.

    Args:
        plain: The crystals in any cell.
        symmetric: Those in their primitive standard cells.
        share: Share of the symmetric batches.
    """

    def __init__(self, plain: Batches, symmetric: Batches, share: float) -> None:
        self.plain, self.symmetric, self.share = plain, symmetric, share
        self.left_out = plain.left_out

    def __len__(self) -> int:
        return len(self.plain)

    def epoch(self, seed: int, epoch: int, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """The batches of one epoch: the set once, a share of it symmetric."""
        generator = epoch_generator(seed + 1, epoch)
        symmetric = self.symmetric.epoch(seed, epoch, rank, world_size)
        for plain in self.plain.epoch(seed, epoch, rank, world_size):
            chosen = torch.rand(1, generator=generator).item() < self.share
            yield next(symmetric, plain) if chosen else plain

    def everything(self) -> Iterator[Any]:
        """Every crystal once in either form, for validation."""
        yield from self.plain.everything()
        yield from self.symmetric.everything()


def mixed_task(
    model: GenerativeModel,
    data: PackedCrystals,
    settings: TrainSettings,
    device: torch.device,
    validation: PackedCrystals | None = None,
) -> Task:
    """The training of a flow on plain and symmetric batches, by the config's `symmetric_share`.

    Args:
        model: Its denoiser's weights are changed in place.
        data: Training crystals with their scaffolds.
        settings: `batch_size`, `max_pairs` and `precision` count here.
        device: Where the batches live.
        validation: Crystals with their scaffolds for the validation loss.

    Raises:
        InputError: If crystals come without scaffolds, the share is none, or the model is no flow.
    """
    share = model.config["symmetric_share"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise InputError(f"symmetric_share must be a number above 0 and up to 1, got {share!r}.")
    plain = denoising_task(model, data, settings, device, validation)
    space = model.state_space
    limit = space.max_rows if isinstance(space, MirageSpace) else space.max_atoms

    def mixed(part: Batches, crystals: PackedCrystals, batch_size: int) -> MixedCrystals:
        if crystals.scaffolds is None:
            raise InputError(SCAFFOLDS_MISSING.format("The data of symmetric_share"))
        pairs = settings.max_pairs
        scaffolds = crystals.scaffolds
        if isinstance(space, MirageSpace):
            scaffolds = with_spare_sites(scaffolds, space)
        symmetric = SymmetricCrystals(scaffolds, limit, batch_size, pairs, device)
        return MixedCrystals(part, symmetric, share)

    held_out = None
    if validation is not None and plain.validation is not None:
        held_out = mixed(plain.validation, validation, VALIDATION_BATCH)
    return replace(
        plain,
        data=mixed(plain.data, data, settings.batch_size),
        objective=MixedObjective(model),
        validation=held_out,
    )
