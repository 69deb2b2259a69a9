"""Configurations with energies, forces and stresses: one packed file, and batches of about equally
many atoms.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.neighbors import neighbor_list
from ase_crysdiff.networks.graph import Graph
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.randomness import epoch_generator
from ase_crysdiff.shapes import Float, Int, Tensor
from ase_crysdiff.storage import write_tensors

FORMAT = "crysdiff-labels-1"


@dataclass(frozen=True)
class Labels:
    """Fully periodic configurations and what a more exact method says of them.

    Args:
        configurations: Positions, cells and species.
        energy: Total energy of each, eV, shape (sets,).
        forces: eV/Å, shape (atoms, 3).
        stress: eV/Å³, tension positive, shape (sets, 3, 3).
        kind: How each was made, a `data.perturbations.Perturbation` by its number, shape (sets,).
        metadata: Where the data come from; among it the references of formation energies as JSON.
    """

    configurations: Configurations
    energy: Float[Tensor, " sets"]
    forces: Float[Tensor, "atoms 3"]
    stress: Float[Tensor, "sets 3 3"]
    kind: Int[Tensor, " sets"]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.energy)

    def select(self, sets: Int[Tensor, " chosen"]) -> "Labels":
        """The configurations at these positions, in this order."""
        counts = self.configurations.num_atoms
        starts = (counts.cumsum(0) - counts)[sets]
        chosen = counts[sets]
        within = torch.arange(int(chosen.sum()), device=counts.device)
        atoms = (
            starts.repeat_interleave(chosen)
            + within
            - (chosen.cumsum(0) - chosen).repeat_interleave(chosen)
        )
        return Labels(
            self.configurations.select(sets),
            self.energy[sets],
            self.forces[atoms],
            self.stress[sets],
            self.kind[sets],
            self.metadata,
        )

    def to(self, device: torch.device) -> "Labels":
        """Configurations and labels on a device."""
        moved = {
            name: getattr(self, name).to(device) for name in ("energy", "forces", "stress", "kind")
        }
        return replace(self, configurations=self.configurations.to(device), **moved)

    @property
    def digest(self) -> str:
        """SHA-256 over configurations and labels: names the data in cards and checkpoints."""
        found = hashlib.sha256()
        for name, tensor in self._tensors().items():
            found.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def save(self, path: str | Path) -> None:
        """Writes the file atomically."""
        write_tensors(Path(path), self._tensors(), {**self.metadata, "format": FORMAT})

    def _tensors(self) -> dict[str, Tensor]:
        c = self.configurations
        return {
            "positions": c.positions,
            "cells": c.cells,
            "species": c.species.to(torch.uint8),
            "num_atoms": c.num_atoms.to(torch.int32),
            "energy": self.energy,
            "forces": self.forces,
            "stress": self.stress,
            "kind": self.kind.to(torch.int8),
        }

    @staticmethod
    def load(path: str | Path) -> "Labels":
        """Reads a packed file.

        Raises:
            InputError: If the file is missing, damaged or holds no labels.
        """
        advice = "Make one with: crysdiff pack LABELS.npz -o labels.safetensors"
        try:
            with safe_open(str(path), "pt") as file:
                metadata = dict(file.metadata() or {})
                t = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"{path} cannot be read as a file of labels ({error}). {advice}"
            ) from error
        if metadata.get("format") != FORMAT:
            raise InputError(
                f"{path} holds no labels (format {metadata.get('format')!r}, expected {FORMAT!r}). "
                f"{advice}"
            )
        periodic = torch.ones(len(t["cells"]), 3, dtype=torch.bool)
        configurations = Configurations(
            t["positions"], t["cells"], periodic, t["species"].long(), t["num_atoms"].long()
        )
        return Labels(
            configurations, t["energy"], t["forces"], t["stress"], t["kind"].long(), metadata
        )


@dataclass(frozen=True)
class LabelBatch:
    """What a step of training reads: a graph, and labels of its atoms and systems.

    Args:
        graph: Atoms and neighbours.
        labels: Configurations and labels, in the order of the graph.
    """

    graph: Graph
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


class LabelBatches:
    """A training set of labels. Neighbours are found per batch, which takes a twentieth of a step
    and no memory.

    Args:
        labels: All of them.
        batch_atoms: Atoms of a batch, at most; a larger configuration is a batch of its own.
        cutoff: Of the network, Å.
        device: Where the tensors live.
    """

    def __init__(
        self, labels: Labels, batch_atoms: int, cutoff: float, device: torch.device
    ) -> None:
        self.labels, self.batch_atoms, self.cutoff = labels.to(device), batch_atoms, cutoff
        self.left_out = 0
        self.sizes = labels.configurations.num_atoms.cpu()

    def __len__(self) -> int:
        return len(self.labels)

    def epoch(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[LabelBatch]:
        """The batches of one epoch, a pure function of the arguments; each process takes every
        world_size-th of them.
        """
        generator = epoch_generator(seed, epoch)
        plan = self._plan(torch.randperm(len(self), generator=generator))
        whole = len(plan) - len(plan) % world_size
        for sets in plan[rank:whole:world_size]:
            yield self._batch(sets)

    def everything(self) -> Iterator[LabelBatch]:
        """Every configuration once, in order, for validation."""
        for sets in self._plan(torch.arange(len(self))):
            yield self._batch(sets)

    def _plan(self, order: Tensor) -> list[Tensor]:
        ends = self.sizes[order].cumsum(0)
        plan: list[Tensor] = []
        start = 0
        while start < len(order):
            before = int(ends[start - 1]) if start else 0
            stop = int(torch.searchsorted(ends, before + self.batch_atoms, right=True))
            plan.append(order[start : max(stop, start + 1)])
            start = max(stop, start + 1)
        return plan

    def _batch(self, sets: Tensor) -> LabelBatch:
        labels = self.labels.select(sets.to(self.labels.energy.device))
        return LabelBatch(graph_of(labels.configurations, self.cutoff), labels)


def graph_of(configurations: Configurations, cutoff: float) -> Graph:
    """The graph of configurations within a cutoff."""
    c, index = configurations, configurations.index
    neighbors = neighbor_list(c.positions, c.cells, c.periodic, c.num_atoms, cutoff)
    vectors = neighbors.vectors(c.positions, c.cells, index)
    return Graph.of_pairs(c.species, index, len(c), neighbors, vectors)
