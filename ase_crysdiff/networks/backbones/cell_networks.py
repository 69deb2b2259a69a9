"""Networks of the generators as backbones: every atom of one cell sees every other, and all of them
the lattice.

They know no periodic images, so features depend on which of the cells of a crystal is given, and a
supercell is another crystal to them. Give primitive Niggli cells.
"""

from ase_crysdiff.geometry.lattice import log_polar
from ase_crysdiff.networks.backbones.base import Backbone, CrystalGraph, Neighborhood
from ase_crysdiff.networks.backbones.elements import make_elements
from ase_crysdiff.networks.base import Encoder, Features, NodeInput
from ase_crysdiff.networks.encoders.crysformer import Crysformer
from ase_crysdiff.networks.encoders.cspnet import CSPNet

#: Logarithms of the lattice's stretch (shears, ratios, size), brought to order one.
_LATTICE_MEAN, _LATTICE_SCALE = (0.0, 0.0, 0.0, 0.0, 0.0, 1.6), (0.2, 0.2, 0.2, 0.2, 0.2, 0.3)


class CellBackbone(Backbone):
    """An encoder of a denoiser that reads elements and lattice without noise and without time.

    Args:
        encoder: Reads six invariants per crystal.
        elements: How elements are read: `described`, `one-hot` or `table`.
    """

    needs_canonical_cell = True

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
            NodeInput(nodes, invariants, crystals.frac_coords, crystals.layout)
        )
        return features


class CSPNetBackbone(CellBackbone):
    """CSPNet, the network of DiffCSP, on clean crystals.

    Args:
        hidden: Width.
        layers: Rounds of messages.
        frequencies: Fourier frequencies per axis.
        elements: How elements are read: `described`, `one-hot` or `table`.

    Source: Jiao et al. 2023 (DiffCSP), section 4.2.
    """

    def __init__(
        self, hidden: int = 128, layers: int = 4, frequencies: int = 32, elements: str = "described"
    ) -> None:
        super().__init__(CSPNet(6, hidden, layers, frequencies), elements)


class FullCrysformer(CellBackbone):
    """Crysformer in its published edge mode, on clean crystals.

    Args:
        hidden: Width; a multiple of `heads`.
        layers: Blocks.
        heads: Of the attention.
        frequencies: Fourier frequencies per axis.
        elements: How elements are read: `described`, `one-hot` or `table`.

    Source: DAO (GLAD-RUC 2025), Crysformer.
    """

    def __init__(
        self,
        hidden: int = 96,
        layers: int = 4,
        heads: int = 4,
        frequencies: int = 32,
        elements: str = "described",
    ) -> None:
        super().__init__(Crysformer(6, hidden, layers, heads, frequencies), elements)
