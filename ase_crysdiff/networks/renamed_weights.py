"""Names that parameters had in weights that were written by earlier versions."""

import re
from collections.abc import Collection, Mapping

from ase_crysdiff.shapes import Tensor

#: Patterns of former names, and what took their place; the first that gives a known name counts.
_RULES = (
    # The periodic Crysformer embeds elements as all backbones do.
    (r"(^|\.)species\.weight$", r"\1elements.own.weight"),
    (r"(^|\.)describe\.(weight|bias)$", r"\1elements.common.\2"),
    # As a backbone it was wrapped once more.
    (r"(^|\.)encoder\.species\.weight$", r"\1elements.own.weight"),
    (r"(^|\.)encoder\.describe\.(weight|bias)$", r"\1elements.common.\2"),
    (r"(^|\.)encoder\.(layers\..*)$", r"\1\2"),
)


def current_names(tensors: Mapping[str, Tensor], expected: Collection[str]) -> dict[str, Tensor]:
    """Tensors under the names that a network of this version has.

    Args:
        tensors: By the names that they were written with.
        expected: Names of the network's parameters. A name among them stays, and so does one that
            no rule leads to any of them.
    """
    return {_current(name, expected): tensor for name, tensor in tensors.items()}


def _current(name: str, expected: Collection[str]) -> str:
    if name in expected:
        return name
    for pattern, replacement in _RULES:
        new = re.sub(pattern, replacement, name)
        if new != name and new in expected:
            return new
    return name
