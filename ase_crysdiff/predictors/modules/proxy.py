"""How well the features of a module tell a property, without training anything: neighbours vote.

Source: MoMa (2025), section on adaptive module composition.
"""

import torch

from ase_crysdiff.shapes import Float, Int, Tensor

#: Of the published code: neighbours that vote, and the temperature of their weights.
NEIGHBORS, TEMPERATURE = 5, 0.2


def leave_one_out(
    features: Float[Tensor, "crystals width"],
    values: Float[Tensor, " crystals"],
    groups: Int[Tensor, " crystals"],
    neighbors: int = NEIGHBORS,
    temperature: float = TEMPERATURE,
) -> Float[Tensor, " crystals"]:
    """What the nearest crystals of other groups say of every crystal: their mean with the weights
    exp(cos / temperature), where cos is the cosine of the angle between the features.

    The published method leaves out the crystal alone; polymorphs and doubles, which often have the
    same value, then give the answer away. A crystal whose group is all there is gets the mean.

    Args:
        features: Of the crystals.
        values: To be told.
        groups: Number of the group of each, such as its formula.
        neighbors: That vote.
        temperature: Of their weights.
    """
    directions = torch.nn.functional.normalize(features.double(), dim=-1)
    cosines = directions @ directions.T
    cosines = cosines.masked_fill(groups.unsqueeze(0) == groups.unsqueeze(1), -torch.inf)
    nearest, chosen = cosines.topk(min(neighbors, len(values)), dim=-1)
    weights = torch.exp(nearest / temperature)
    total = weights.sum(-1)
    said = (weights * values.double()[chosen]).sum(-1) / total.clamp_min(1e-300)
    return torch.where(total > 0, said, values.double().mean())
