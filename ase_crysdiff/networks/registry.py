"""Encoders by name, from the entry points of `ase_crysdiff.encoders`: for generation, for
properties, and for potentials.
"""

from collections.abc import Mapping
from typing import Any

from ase_crysdiff import registry
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.base import Backbone, Encoder
from ase_crysdiff.networks.cell_backbone import CellBackbone

#: What arguments were called in cards that were written earlier.
_RENAMED_ARGUMENTS = {"waves": "num_radial"}
#: Name of the encoder that generators mean by `crysformer`: the published one. As a backbone and in
#: potentials it is the one with periodic edges.
_GENERATORS = {"crysformer": "crysformer-full"}


def encoder_names() -> list[str]:
    """Names of all encoders that generators can be built on."""
    return [name for name in registry.names(registry.ENCODERS) if issubclass(_kind(name), Encoder)]


def backbone_names() -> list[str]:
    """Names of all encoders that properties can be learned with: all."""
    return registry.names(registry.ENCODERS)


def make_encoder(config: Mapping[str, Any], crystal_features: int) -> Encoder:
    """The encoder of a denoiser for `{"name": ..., **arguments}`.

    Args:
        config: Registered name and arguments of the class.
        crystal_features: Invariants per crystal that it will read.

    Raises:
        InputError: If the name or an argument is not known, or the encoder reads clean crystals.
    """
    name, arguments = _split(config)
    found = _known(_GENERATORS.get(name, name), "encoder", encoder_names)
    if not issubclass(found, Encoder):
        raise InputError(
            f"encoder {name!r} reads clean crystals and cannot denoise; known: {encoder_names()}."
        )
    encoder: Encoder = _made(found, name, "encoder", arguments, crystal_features)
    return encoder


def make_backbone(config: Mapping[str, Any]) -> Backbone:
    """The backbone of `{"name": ..., **arguments}`. Encoders of denoisers are given the lattice and
    an embedding of the elements, chosen by the argument `elements`.

    Args:
        config: Registered name and arguments of the class.

    Raises:
        InputError: If the name or an argument is not known.
    """
    name, arguments = _split(config)
    found = _known(name, "backbone", backbone_names)
    if issubclass(found, Backbone):
        backbone: Backbone = _made(found, name, "backbone", arguments)
        return backbone
    elements = arguments.pop("elements", "described")
    arguments = {**found.small, **arguments}
    encoder = _made(found, name, "backbone", arguments, CellBackbone.num_invariants)
    return CellBackbone(encoder, elements)


def _split(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    arguments = {_RENAMED_ARGUMENTS.get(key, key): value for key, value in config.items()}
    return str(arguments.pop("name", None)), arguments


def _kind(name: str) -> type[Any]:
    found: type[Any] = registry.load(registry.ENCODERS, name)
    return found


def _known(name: str, role: str, names: Any) -> type[Any]:
    if name not in backbone_names():
        raise InputError(f"{role} {name!r} is not known; known: {names()}.")
    return _kind(name)


def _made(kind: type[Any], name: str, role: str, arguments: Mapping[str, Any], *given: Any) -> Any:
    try:
        return kind(*given, **arguments)
    except TypeError as error:
        raise InputError(f"{role} {name!r} does not take {dict(arguments)}: {error}") from error
