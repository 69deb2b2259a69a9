"""Crysformer on atoms and all periodic images within a cutoff, the network of the potential, as a
backbone.
"""

import torch

from ase_crysdiff.geometry.neighbors import Neighbors
from ase_crysdiff.networks.backbones.base import Backbone, CrystalGraph, Neighborhood
from ase_crysdiff.networks.backbones.elements import NUM_ELEMENTS, check_species
from ase_crysdiff.networks.backbones.layers import features
from ase_crysdiff.networks.base import Features
from ase_crysdiff.networks.encoders.crysformer_periodic import PeriodicCrysformer
from ase_crysdiff.networks.graph import PeriodicGraph, periodic_graph


class PeriodicCrysformerBackbone(Backbone):
    """The periodic edge mode of Crysformer.

    Features are smooth at the cutoff; an atom without neighbours has those of its element.

    Args:
        hidden: Width of nodes.
        layers: Rounds of attention.
        heads: Of the attention; divides `hidden`.
        cutoff: How far an atom sees in one round, Å.

    Source: see `networks.encoders.crysformer_periodic`.
    """

    def __init__(
        self, hidden: int = 96, layers: int = 2, heads: int = 4, cutoff: float = 5.0
    ) -> None:
        super().__init__()
        self.hidden, self.neighborhood = hidden, Neighborhood(None, cutoff)
        self.encoder = PeriodicCrysformer(
            hidden, layers, heads, cutoff=cutoff, num_species=NUM_ELEMENTS
        )

    def forward(self, graph: CrystalGraph) -> Features:
        check_species(graph.crystals.species, NUM_ELEMENTS)
        tables = self._tables(graph)
        rows, _ = self.encoder(tables)
        nodes = torch.empty_like(rows).index_copy(0, tables.order, rows)
        return features(nodes, graph.crystals.layout)

    def _tables(self, graph: CrystalGraph) -> PeriodicGraph:
        layout, neighbors = (
            graph.crystals.layout,
            Neighbors(graph.first, graph.second, graph.shifts),
        )
        return periodic_graph(
            graph.crystals.species,
            layout.batch_index,
            layout.num_crystals,
            neighbors,
            graph.vectors,
            self.encoder.cutoff,
        )
