"""Encoders of the generators as backbones: every atom of one cell sees every other, and all of them
the lattice.

They know no periodic images, so features depend on which of the cells of a crystal is given, and a
supercell is another crystal to them. Give primitive Niggli cells.
"""

from ase_crysdiff.geometry.lattice import log_polar
from ase_crysdiff.networks.base import Backbone, Encoder, Features, NodeInput
from ase_crysdiff.networks.graph import CrystalGraph, Neighborhood
from ase_crysdiff.networks.species_embeddings import make_elements

#: Logarithms of the lattice's stretch (shears, ratios, size), brought to order one.
_LATTICE_MEAN, _LATTICE_SCALE = (0.0, 0.0, 0.0, 0.0, 0.0, 1.6), (0.2, 0.2, 0.2, 0.2, 0.2, 0.3)


class CellBackbone(Backbone):
    """An encoder of a denoiser that reads elements and lattice without noise and without time.

    Args:
        encoder: Reads `num_invariants` numbers per crystal.
        elements: How elements are read: `described`, `one-hot` or `table`.

    Attributes:
        num_invariants: Numbers per crystal that the encoder is told of the lattice.
    """

    needs_canonical_cell = True
    num_invariants = len(_LATTICE_MEAN)

    def __init__(self, encoder: Encoder, elements: str) -> None:
        super().__init__()
        self.hidden, self.neighborhood = encoder.hidden, Neighborhood(0)
        self.elements = make_elements(elements, encoder.hidden)
        self.encoder = encoder

    def forward(self, graph: CrystalGraph) -> Features:
        crystals = graph.crystals
        nodes = self.elements(crystals.species)
        polar = log_polar(crystals.lattice)
        invariants = (polar - polar.new_tensor(_LATTICE_MEAN)) / polar.new_tensor(_LATTICE_SCALE)
        features: Features = self.encoder(
            NodeInput(
                nodes, invariants, crystals.frac_coords, crystals.layout, lambda: crystals.lattice
            )
        )
        return features
