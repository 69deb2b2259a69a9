"""Weights of a network that reads less: the columns for what it does not read are zeros, so that
the larger network computes what the smaller one did until it learns more.
"""

from collections.abc import Mapping

import torch
from torch import nn

from ase_crysdiff.shapes import Tensor


def added_columns(network: nn.Module) -> dict[str, int]:
    """How many of the last columns of which parameters weights may lack, by full name.

    A module says so by an attribute `added_columns`, a mapping from its own parameters' names.
    """
    found: dict[str, int] = {}
    for path, module in network.named_modules():
        own: Mapping[str, int] = getattr(module, "added_columns", {})
        found |= {f"{path}.{name}".lstrip("."): count for name, count in own.items() if count}
    return found


def with_added_columns(
    network: nn.Module, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights with columns of zeros wherever all that a network may do without is missing.

    Args:
        network: The larger one.
        tensors: Weights by name. Where only some of the parameters lack their columns, or anything
            else is different, they stay as they are.

    Returns:
        The weights, and the names of those parameters that were widened.
    """
    expected, added = dict(network.named_parameters()), added_columns(network)
    result = dict(tensors)
    for name, count in added.items():
        rows, columns = expected[name].shape
        if name not in tensors or tensors[name].shape != (rows, columns - count):
            return dict(tensors), []
        zeros = tensors[name].new_zeros(rows, count)
        result[name] = torch.cat([tensors[name], zeros], 1)
    return result, list(added)
