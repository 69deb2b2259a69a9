"""Backbones by name."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.backbones.base import Backbone

_ROOM = "ase_crysdiff.networks.backbones"
#: Name -> module and class; a module is imported when its backbone is asked for.
BACKBONES = {
    "comformer-pdd": ("comformer_pdd", "ComformerPDD"),
    "crystal-graph": ("crystal_graph", "CrystalGraphBackbone"),
    "crysformer": ("crysformer", "PeriodicCrysformerBackbone"),
    "crysformer-full": ("cell_networks", "FullCrysformer"),
    "cspnet": ("cell_networks", "CSPNetBackbone"),
    "matformer": ("matformer", "Matformer"),
    "pddformer": ("pddformer", "PDDFormer"),
    "tensornet": ("tensornet", "TensorNetBackbone"),
}


def make_backbone(config: Mapping[str, Any]) -> Backbone:
    """The backbone of `{"name": ..., **arguments}`.

    Raises:
        InputError: If the name or an argument is not known.
    """
    arguments = dict(config)
    name = arguments.pop("name", None)
    if name not in BACKBONES:
        raise InputError(f"backbone {name!r} is not known; known: {sorted(BACKBONES)}.")
    module, attribute = BACKBONES[name]
    kind = getattr(import_module(f"{_ROOM}.{module}"), attribute)
    try:
        backbone: Backbone = kind(**arguments)
    except TypeError as error:
        raise InputError(f"backbone {name!r} does not take {arguments}: {error}") from error
    return backbone
