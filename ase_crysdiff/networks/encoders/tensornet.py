"""TensorNet of matgl as an encoder: vectors and tensors of neighbours, features from their norms.

The module is matgl's own, with weights of our training. matgl sums messages at the source of an
edge since version 2 of the model and at its end before that, which other versions of it would
change without a word; so the version is checked.
"""

from types import SimpleNamespace

import torch
from torch import nn

from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.networks.base import Backbone, Features
from ase_crysdiff.networks.graph import Graph, Neighborhood
from ase_crysdiff.networks.message_passing import features
from ase_crysdiff.networks.species_embeddings import NUM_ELEMENTS, check_species

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

    is_smooth = True

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

    def forward(self, graph: Graph) -> Features:
        check_species(graph.species, NUM_ELEMENTS)
        # matgl wants places and offsets of images and makes vectors of them; it is given vectors.
        inputs = SimpleNamespace(
            node_type=graph.species,
            pos=graph.vectors.new_zeros(len(graph.species), 3),
            edge_index=torch.stack([graph.receivers, graph.senders]),
            pbc_offshift=graph.vectors,
        )
        return features(self.network.forward_features(inputs)["readout"], graph)
