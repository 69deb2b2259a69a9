"""Training of a module beside a frozen encoder: what the encoder says of the atoms is computed
once, and a pass over a thousand crystals takes a fraction of a second.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ase_crysdiff.crystal.batch import CrystalBatch, rows_of
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.networks.encoders.crysformer.modular import DescribedGraph, ModularCrysformer
from ase_crysdiff.networks.graph import Neighborhood, build_graph
from ase_crysdiff.networks.property_network import PropertyNetwork
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.training.graph_crystals import GraphBatch, GraphCrystals
from ase_crysdiff.training.regression import task_on
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task

#: Crystals that are described in one go.
_PIECE = 128


class DescribedCrystals(GraphCrystals):
    """Batches of crystals whose atoms a frozen encoder has described.

    Args:
        data: All crystals.
        atoms: Descriptions of all their atoms, in order.
        batch_size: Crystals of a batch, about.
        device: Where the tensors live.
        targets: Numbers per crystal.
    """

    def __init__(
        self,
        data: CrystalBatch,
        atoms: Float[Tensor, "atoms features"],
        batch_size: int,
        device: torch.device,
        targets: Float[Tensor, " crystals"] | None = None,
    ) -> None:
        super().__init__(data, Neighborhood(0), batch_size, device, targets)
        self.atoms, self.counts = atoms.to(device), data.num_atoms.to(device)

    def _batch(self, rows: Tensor) -> GraphBatch:
        found = super()._batch(rows)
        _, atoms = rows_of(self.counts, found.rows)
        return replace(found, graph=DescribedGraph.of_graph(found.graph, self.atoms[atoms]))


@torch.no_grad()
def described(
    network: ModularCrysformer, crystals: CrystalBatch
) -> Float[Tensor, "atoms features"]:
    """What a frozen encoder says of the atoms of crystals, in their order.

    Args:
        network: The encoder; its module is not asked.
        crystals: In any order.
    """
    device = next(network.parameters()).device
    order = torch.argsort(crystals.num_atoms, stable=True)
    parts, places = [], []
    for rows in order.split(_PIECE):
        graph = build_graph(crystals.select(rows).to(device), network.neighborhood)
        parts.append(network.plain(graph))
        places.append(rows_of(crystals.num_atoms, rows)[1])
    return torch.cat(parts)[torch.argsort(torch.cat(places)).to(device)]


def module_task(
    network: PropertyNetwork,
    config: Mapping[str, Any],
    data: LabelledCrystals,
    validation: LabelledCrystals,
    settings: TrainSettings,
    device: torch.device,
    patience: int,
) -> Task:
    """As `regression_task`, but the module and the heads alone learn.

    Args:
        network: On a `ModularCrysformer`; its weights are changed in place.
        config: The names and numbers it was built from, with `scale` and `loss`.
        data: Training crystals.
        validation: Crystals that choose the weights and end the training.
        settings: `batch_size` and `seed` count here.
        device: Where the batches live.
        patience: Steps without a lower validation error after which the training ends.
    """
    backbone = network.backbone
    assert isinstance(backbone, ModularCrysformer)
    backbone.freeze_trunk()
    training, held_out = (
        DescribedCrystals(
            part.crystals, described(backbone, part.crystals), size, device, part.values
        )
        for part, size in ((data, settings.batch_size), (validation, 4 * settings.batch_size))
    )
    inputs = {"data": data.digest, "validation": validation.digest}
    return task_on(network, config, training, held_out, inputs, settings.seed, len(data), patience)
