"""Where a crystal comes from, as a data item of its CIF: sampler, seed, energies and the like.

One text field of JSON, which readers that do not know it pass over.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ase_crysdiff.crystal.cif.text import Block

TAG = "_crysdiff_properties"
_PREFIX = "crysdiff_"


def plain_properties(properties: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Properties of a structure that are a word or a finite number."""
    found = {}
    for name, value in properties.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, str | int) or (isinstance(plain, float) and math.isfinite(plain)):
            found[name] = plain
    return found


def origin_item(properties: Mapping[str, Any]) -> str:
    """Lines of a CIF block with what this package has noted of a structure; empty without any.

    Args:
        properties: Of the structure.
    """
    noted = {n: v for n, v in plain_properties(properties).items() if n.startswith(_PREFIX)}
    # Escaped, so that it is one line without any letter that a CIF must not hold.
    return f"{TAG}\n;\n{json.dumps(noted)}\n;\n" if noted else ""


def origin_of(block: Block) -> dict[str, Any]:
    """What `origin_item` has noted in a block; empty for what it cannot have written."""
    try:
        noted = json.loads(block.value(TAG) or "{}")
    except ValueError:
        return {}
    if not isinstance(noted, dict):
        return {}
    return {n: v for n, v in plain_properties(noted).items() if n.startswith(_PREFIX)}
