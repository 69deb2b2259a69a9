"""Training of potentials on labels."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ase_crysdiff.data.labels import LabelBatch, LabelBatches, Labels
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.energy import AtomicEnergies, EnergyTerms
from ase_crysdiff.potentials.zbl import repulsion
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task

#: Errors below these count quadratically, above them linearly: eV/atom, eV/Å, eV/atom.
_HUBER_DELTAS = {"energy": 0.02, "forces": 0.05, "virial": 0.05}
#: Force at which an atom counts half, eV/Å. Labels of atoms that are pressed together are large and
#: poor.
_HALF_WEIGHT_FORCE = 3.0


class EnergyObjective:
    """Energy per atom, forces, and stress times volume per atom, each with a Huber-like loss
    sqrt(x² + d²) - d.

    The network learns what reference energies and short-range repulsion leave over.

    Args:
        references: Energy of each element's isolated atom in the model, eV, by atomic number.
        weights: Of `energy`, `forces` and `virial`.
    """

    def __init__(
        self, references: Float[Tensor, " elements"], weights: Mapping[str, float]
    ) -> None:
        self.references, self.weights = references, dict(weights)

    def loss(
        self, network: Callable[..., EnergyTerms], batch: LabelBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and mean absolute errors in eV/atom, eV/Å and eV/Å³.

        Args:
            network: The network, possibly wrapped.
            batch: Graph and labels.
            generator: Not used.
        """
        graph, labels = batch.graph, batch.labels
        terms, wall = network(graph), repulsion(graph)
        counts = labels.configurations.num_atoms
        volumes = torch.linalg.det(labels.configurations.cells).abs()[:, None, None]
        known = self.references.to(graph.vectors)[graph.species] + wall.energies + terms.energies
        known = torch.zeros_like(volumes[:, 0, 0]).index_add(0, graph.systems, known)
        forces = labels.forces
        differences = {
            "energy": (known - labels.energy.to(known.dtype)) / counts,
            "forces": terms.forces + wall.forces - forces,
            "virial": (terms.virials + wall.virials - labels.stress * volumes)
            / counts[:, None, None],
        }
        strength = torch.linalg.vector_norm(forces, dim=-1) + torch.linalg.vector_norm(
            wall.forces, dim=-1
        )
        atom_weight = 1 / (1 + strength / _HALF_WEIGHT_FORCE)
        summed = torch.zeros_like(differences["energy"]).index_add(0, graph.systems, atom_weight)
        per_set = summed / counts
        sample_weights = {"energy": per_set, "forces": atom_weight, "virial": per_set}
        total = sum(
            self.weights[name]
            * (sample_weights[name] * _huber(difference, _HUBER_DELTAS[name])).mean()
            for name, difference in differences.items()
        )
        assert isinstance(total, Tensor)
        errors = {name: differences[name].detach().abs().mean() for name in ("energy", "forces")}
        errors["stress"] = (
            (differences["virial"].detach() * counts[:, None, None] / volumes).abs().mean()
        )
        return total, errors


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
        config: The names and numbers it was built from, with `references` and `loss_weights`.
        labels: Training configurations.
        settings: `batch_atoms` counts here.
        device: Where the batches live.
        validation: Configurations for the validation loss.

    Raises:
        InputError: If the settings ask for a precision in which forces would be noise.
    """
    if settings.precision != "float32":
        raise InputError(
            f"Potentials are trained in float32, not {settings.precision}: their gradients are "
            "forces."
        )
    cutoff = network.cutoff
    data = LabelBatches(labels, settings.batch_atoms, cutoff, device)
    held_out = (
        None
        if validation is None
        else LabelBatches(validation, 4 * settings.batch_atoms, cutoff, device)
    )
    references = torch.tensor(config["references"], device=device, dtype=torch.float64)
    objective = EnergyObjective(references, config["loss_weights"])
    return Task(network, config, data, objective, held_out, {"data": labels.digest})
