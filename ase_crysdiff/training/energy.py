"""Training of potentials on labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ase_crysdiff.data.labels import LabelBatch, LabelBatches, Labels
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.energy import AtomicEnergies, EnergyTerms
from ase_crysdiff.potentials.levels import LevelEnergies, level_energies
from ase_crysdiff.potentials.separation import REACH, separation
from ase_crysdiff.potentials.zbl import repulsion
from ase_crysdiff.shapes import Bool, Tensor
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task

#: Errors below these count quadratically, above them linearly: eV/atom, eV/Å, eV/atom. Small
#: enough that the forces of phonons and the stresses of elasticity, whose errors are small, count.
_HUBER_DELTAS = {"energy": 0.01, "forces": 0.02, "virial": 0.02}
#: Force at which an atom counts half, eV/Å. Labels of atoms that are pressed together are large and
#: poor.
_HALF_WEIGHT_FORCE = 3.0


class EnergyObjective:
    """Energy per atom, forces, and stress times volume per atom, each with a Huber-like loss
    sqrt(x² + d²) - d. Forces and stresses that are not known (NaN) do not count.

    The network learns what reference energies, short-range repulsion and the separation into free
    atoms leave over.

    Args:
        levels: What stands for an atom at each level of theory.
        weights: Of `energy`, `forces` and `virial`.
    """

    def __init__(self, levels: Sequence[LevelEnergies], weights: Mapping[str, float]) -> None:
        self.references = torch.stack([level.references for level in levels])
        self.depths = torch.stack([level.depths for level in levels])
        self.weights = dict(weights)

    def loss(
        self, network: Callable[..., EnergyTerms], batch: LabelBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and mean absolute errors in eV/atom, eV/Å and eV/Å³ of what is known; those of
        forces also for crystals rattled by up to 0.2 Å alone, near which potentials are used.

        Args:
            network: The network, possibly wrapped.
            batch: Graph and labels.
            generator: Not used.
        """
        graph, labels = batch.graph, batch.labels
        counts = labels.configurations.num_atoms
        volumes = torch.linalg.det(labels.configurations.cells).abs()[:, None, None]
        fixed = self._fixed(batch)
        terms = network(graph, labels.level)
        known = fixed.energies + terms.energies
        known = torch.zeros_like(volumes[:, 0, 0]).index_add(0, graph.systems, known)
        differences = {
            "energy": (known - labels.energy.to(known.dtype)) / counts,
            "forces": terms.forces + fixed.forces - labels.forces,
            "virial": (terms.virials + fixed.virials - labels.stress * volumes)
            / counts[:, None, None],
        }
        strength = torch.linalg.vector_norm(labels.forces.nan_to_num(), dim=-1)
        strength = strength + torch.linalg.vector_norm(fixed.forces, dim=-1)
        atom_weight = 1 / (1 + strength / _HALF_WEIGHT_FORCE)
        summed = torch.zeros_like(differences["energy"]).index_add(0, graph.systems, atom_weight)
        per_set = summed / counts
        sample_weights = {"energy": per_set, "forces": atom_weight, "virial": per_set}
        total = known.new_zeros(())
        for name, difference in differences.items():
            given = _given(difference)
            part = _huber(difference[given], _HUBER_DELTAS[name]) * sample_weights[name][given]
            total = total + self.weights[name] * part.sum() / len(difference)
        differences["stress"] = differences.pop("virial") * counts[:, None, None] / volumes
        errors = {
            name: difference.detach()[_given(difference)].abs().mean()
            for name, difference in differences.items()
            if bool(_given(difference).any())
        }
        forces = differences["forces"].detach()
        rattled = (labels.kind == Perturbation.RATTLED_AND_STRAINED)[graph.systems] & _given(forces)
        if bool(rattled.any()):
            errors["rattled_forces"] = forces[rattled].abs().mean()
        return total, errors

    def _fixed(self, batch: LabelBatch) -> EnergyTerms:
        """What is not learnt: energies with the references, forces and virials."""
        graph, level = batch.graph, batch.labels.level
        if level is None:
            level = torch.zeros_like(batch.labels.kind)
        rows = level[graph.systems], graph.species
        references = self.references.to(graph.vectors)[rows]
        wall, apart = repulsion(graph), separation(graph, self.depths.to(graph.vectors)[rows])
        return EnergyTerms(
            references + wall.energies + apart.energies,
            wall.forces + apart.forces,
            wall.virials + apart.virials,
        )


def _given(difference: Tensor) -> Bool[Tensor, " rows"]:
    """Rows of which nothing is NaN."""
    found: Tensor = (
        ~difference.detach().flatten(1).isnan().any(1)
        if difference.dim() > 1
        else (~difference.detach().isnan())
    )
    return found


def _huber(difference: Tensor, delta: float) -> Tensor:
    """sqrt(x² + delta²) - delta of the length x of each row, so that no direction in space is
    special.
    """
    square = difference.square().flatten(1).sum(-1) if difference.dim() > 1 else difference.square()
    return torch.sqrt(square + delta**2) - delta


def energy_task(
    network: AtomicEnergies,
    config: Mapping[str, Any],
    labels: Labels,
    settings: TrainSettings,
    device: torch.device,
    validation: Labels | None = None,
) -> Task:
    """The training of a potential's network on labels.

    Args:
        network: Its weights are changed in place.
        config: The names and numbers it was built from, with `loss_weights`, and `references` or
            `levels`.
        labels: Training configurations.
        settings: `batch_atoms` counts here.
        device: Where the batches live.
        validation: Configurations for the validation loss.

    Raises:
        InputError: If the settings ask for a precision in which forces would be noise, labels are
            of a level that the config does not know, or the network does not see far enough for
            free atoms.
    """
    if settings.precision != "float32":
        raise InputError(
            f"Potentials are trained in float32, not {settings.precision}: their gradients are "
            "forces."
        )
    levels = level_energies(config)
    knows_free_atoms = any(bool(level.depths.any()) for level in levels.values())
    if knows_free_atoms and network.neighborhood.reach < REACH:
        raise InputError(
            f"The labels know free atoms, and atoms come apart up to {REACH} bond lengths; the "
            f"encoder sees {network.neighborhood.reach}. Set its reach to {REACH}, or pack without "
            "--free-atoms."
        )
    names, edges = list(levels), network.neighborhood
    shares = [level.share for level in levels.values()]
    data = LabelBatches(_of_levels(labels, names), settings.batch_atoms, edges, device, shares)
    held_out = None
    if validation is not None:
        checked = _of_levels(validation, names)
        held_out = LabelBatches(checked, 4 * settings.batch_atoms, edges, device)
    here = [level.to(device) for level in levels.values()]
    objective = EnergyObjective(here, config["loss_weights"])
    return Task(network, config, data, objective, held_out, {"data": labels.digest})


def _of_levels(labels: Labels, names: Sequence[str]) -> Labels:
    """The labels with their levels numbered as in a config.

    Raises:
        InputError: If the config lacks one of them.
    """
    if len(names) == len(labels.levels) == 1:
        return replace(labels, level=None)
    unknown = sorted(set(labels.levels) - set(names))
    if unknown:
        raise InputError(
            f"There are labels of {unknown}, but the model's levels of theory are {list(names)}. "
            "Pack labels of these."
        )
    numbers = torch.tensor([names.index(name) for name in labels.levels])
    level = torch.zeros_like(labels.kind) if labels.level is None else labels.level
    return replace(labels, level=numbers[level], levels=tuple(names))
