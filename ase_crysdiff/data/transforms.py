"""What is learned in place of a value: its logarithm, where values spread over decades."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Tensor


@dataclass(frozen=True)
class Transform:
    """A way from values to what is learned, and back.

    Args:
        forward: From values.
        inverse: Back to values.
        above: Values must be larger than this; None for all.
    """

    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    above: float | None = None


#: By the names that users give; natural logarithms.
TRANSFORMS: Mapping[str | None, Transform] = {
    None: Transform(lambda x: x, lambda x: x),
    "log": Transform(torch.log, torch.exp, 0.0),
    "log1p": Transform(torch.log1p, torch.expm1, -1.0),
}


def transform_of(name: str | None) -> Transform:
    """The transform of a name.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in TRANSFORMS:
        known = ", ".join(repr(known) for known in TRANSFORMS)
        raise InputError(f"The transform of values is one of {known}, not {name!r}.")
    return TRANSFORMS[name]
