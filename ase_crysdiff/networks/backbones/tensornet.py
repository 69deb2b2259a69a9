"""TensorNet of matgl as a backbone: vectors and tensors of neighbours, features from their norms.

The module is matgl's own, with weights of our training. matgl sums messages at the source of an
edge since version 2 of the model and at its end before that, which other versions of it would
change without a word; so the version is checked.
"""

from types import SimpleNamespace

import torch
from torch import nn

from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.networks.backbones.base import Backbone, CrystalGraph, Neighborhood
from ase_crysdiff.networks.backbones.elements import NUM_ELEMENTS, check_species
from ase_crysdiff.networks.backbones.layers import features
from ase_crysdiff.networks.base import Features

#: Version of matgl's model that this was written and tested against.
_VERSION = 2


class TensorNetBackbone(Backbone):
    """TensorNet, from matgl.

    Args:
        hidden: Width; matgl's `units`.
        layers: Rounds of messages; matgl's `nblocks`.
        radial: Gaussians of the distance.
        cutoff: Å.

    Raises:
        IncompatibleError: If the installed matgl has another version of the model.

    Source: Simeon and De Fabritiis 2023 (TensorNet).
    """

    def __init__(
        self, hidden: int = 48, layers: int = 1, radial: int = 32, cutoff: float = 4.5
    ) -> None:
        super().__init__()
        from matgl.models import TensorNet

        if TensorNet.__version__ != _VERSION:
            raise IncompatibleError(
                f"matgl's TensorNet has version {TensorNet.__version__}, this backbone was tested "
                f"with {_VERSION}. Its messages "
                "may run the other way, which changes all features. Install matgl 4.1."
            )
        self.hidden, self.neighborhood = hidden, Neighborhood(None, cutoff)
        self.network = TensorNet(
            element_types=tuple(str(number) for number in range(NUM_ELEMENTS)),
            units=hidden,
            nblocks=layers,
            num_rbf=radial,
            cutoff=cutoff,
            is_intensive=False,
            use_warp=False,
        )
        self.network.final_layer = nn.Identity()  # type: ignore[assignment]  # its readout is not used

    def forward(self, graph: CrystalGraph) -> Features:
        crystals = graph.crystals
        check_species(crystals.species, NUM_ELEMENTS)
        shifts = graph.shifts.to(crystals.lattice.dtype).unsqueeze(-1)
        cells = crystals.lattice[crystals.layout.batch_index]
        inputs = SimpleNamespace(
            node_type=crystals.species,
            pos=(crystals.frac_coords.unsqueeze(-1) * cells).sum(-2),
            edge_index=torch.stack([graph.first, graph.second]),
            pbc_offshift=(shifts * cells[graph.first]).sum(-2),
        )
        return features(self.network.forward_features(inputs)["readout"], crystals.layout)
