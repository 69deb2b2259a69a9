"""Configurations with energies, forces and stresses: one packed file, and batches of about equally
many atoms.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from ase_crysdiff.data.packed_files import read_packed
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.graph import Graph, Neighborhood
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
        forces: eV/Å, NaN where they are not known, shape (atoms, 3).
        stress: eV/Å³, tension positive, NaN where it is not known, shape (sets, 3, 3).
        kind: How each was made, a `data.perturbations.Perturbation` by its number, shape (sets,).
        metadata: Where the data come from; among it the references of formation energies as JSON.
        level: By which method each was labelled, a position in `levels`; None for one and the same.
            Shape (sets,).
        levels: Names of the methods.
    """

    configurations: Configurations
    energy: Float[Tensor, " sets"]
    forces: Float[Tensor, "atoms 3"]
    stress: Float[Tensor, "sets 3 3"]
    kind: Int[Tensor, " sets"]
    metadata: Mapping[str, str] = field(default_factory=dict)
    level: Int[Tensor, " sets"] | None = None
    levels: Sequence[str] = ("",)

    def __len__(self) -> int:
        return len(self.energy)

    def of_level(self, name: str) -> "Labels":
        """The configurations of one level of theory.

        Raises:
            InputError: If there is no such level.
        """
        if name not in self.levels:
            raise InputError(f"There is no level {name!r} in these labels, but {self.levels}.")
        if self.level is None:
            return self
        return self.select(torch.nonzero(self.level == list(self.levels).index(name)).flatten())

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
            None if self.level is None else self.level[sets],
            self.levels,
        )

    def to(self, device: torch.device) -> "Labels":
        """Configurations and labels on a device."""
        moved = {
            name: getattr(self, name).to(device) for name in ("energy", "forces", "stress", "kind")
        }
        if self.level is not None:
            moved["level"] = self.level.to(device)
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
        levels = {"levels": json.dumps(list(self.levels))} if self.level is not None else {}
        write_tensors(Path(path), self._tensors(), {**self.metadata, **levels, "format": FORMAT})

    def _tensors(self) -> dict[str, Tensor]:
        c = self.configurations
        level = {} if self.level is None else {"level": self.level.to(torch.int8)}
        return {
            "positions": c.positions,
            "cells": c.cells,
            "species": c.species.to(torch.uint8),
            "num_atoms": c.num_atoms.to(torch.int32),
            "energy": self.energy,
            "forces": self.forces,
            "stress": self.stress,
            "kind": self.kind.to(torch.int8),
            **level,
        }

    @staticmethod
    def load(path: str | Path) -> "Labels":
        """Reads a packed file.

        Raises:
            InputError: If the file is missing, damaged or holds no labels.
        """
        advice = "Make one with: crysdiff pack LABELS.npz -o labels.safetensors"
        t, metadata = read_packed(path, FORMAT, (), "file of labels", advice)
        periodic = torch.ones(len(t["cells"]), 3, dtype=torch.bool)
        configurations = Configurations(
            t["positions"], t["cells"], periodic, t["species"].long(), t["num_atoms"].long()
        )
        levels = json.loads(metadata.pop("levels", '[""]'))
        level = t["level"].long() if "level" in t else None
        return Labels(
            configurations,
            t["energy"],
            t["forces"],
            t["stress"],
            t["kind"].long(),
            metadata,
            level,
            tuple(levels),
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
        neighborhood: Which edges the network reads.
        device: Where the tensors live.
        shares: How often a configuration is seen in an epoch, by its level, at most once; None sees
            all of them.
    """

    def __init__(
        self,
        labels: Labels,
        batch_atoms: int,
        neighborhood: Neighborhood,
        device: torch.device,
        shares: Sequence[float] | None = None,
    ) -> None:
        self.labels, self.batch_atoms = labels.to(device), batch_atoms
        self.neighborhood = neighborhood
        self.share = None
        if shares is not None and labels.level is not None:
            self.share = torch.tensor(shares)[labels.level.cpu()]
        self.left_out = 0
        self.sizes = labels.configurations.num_atoms.cpu()

    def __len__(self) -> int:
        return len(self.labels)

    def epoch(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[LabelBatch]:
        """The batches of one epoch, a pure function of the arguments; each process takes every
        world_size-th of them. Of a level with a share, other configurations are left out in every
        epoch.
        """
        generator = epoch_generator(seed, epoch)
        order = torch.randperm(len(self), generator=generator)
        if self.share is not None:
            order = order[torch.rand(len(self), generator=generator) < self.share[order]]
        plan = self._plan(order)
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
        return LabelBatch(graph_of(labels.configurations, self.neighborhood), labels)


def graph_of(configurations: Configurations, neighborhood: Neighborhood) -> Graph:
    """The graph of configurations, with the edges of a neighborhood."""
    c, index = configurations, configurations.index
    neighbors = neighborhood.pairs(c.positions, c.cells, c.periodic, c.species, c.num_atoms)
    vectors = neighbors.vectors(c.positions, c.cells, index)
    return Graph.of_pairs(c.species, index, len(c), neighbors, vectors)
