"""An encoder and a module as what fine-tuning begins with."""

from collections.abc import Mapping

from ase_crysdiff.networks.encoders.crysformer.modular import MODULE
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.predictors.modules.hub import trunk_of
from ase_crysdiff.shapes import Tensor


def with_module(
    base: Mapping[str, str], standard: Mapping[str, Tensor], bottleneck: Mapping[str, Tensor]
) -> InitialWeights:
    """What fine-tuning begins with: an encoder with a module beside it.

    Args:
        base: Name and digest of the encoder.
        standard: What standardises its vectors.
        bottleneck: Tensors of the module.
    """
    config, elements, tensors = trunk_of(base)
    width = len(bottleneck["down.bias"])
    module = {MODULE + name: tensor for name, tensor in bottleneck.items()}
    return InitialWeights(
        {**config, "width": width}, elements, {**tensors, **standard, **module}, dict(base)
    )
