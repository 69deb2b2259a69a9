"""A library of known crystals, whose elements are exchanged to answer for others.

Source: Hautier et al. 2011 and Kusaba et al. 2022 (CSPML) for predicting structures by exchanging
elements in known ones; what is done here is described in `prototypes.retrieval` and
`prototypes.arrangements`.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.scaffolds import SCAFFOLDS_MISSING
from ase_crysdiff.errors import InputError
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import Card, Config, Kind
from ase_crysdiff.models.recipe import DirectRecipe
from ase_crysdiff.prototypes.building import build
from ase_crysdiff.prototypes.library import Library

#: Column of the packed file with energies above the hull, eV/atom.
ENERGY = "e_above_hull"
LICENCE = "CC BY 4.0 (holds crystals of databases under CC BY 4.0; see training.data)"
#: Tuned on mp/val with the library of mp/train and mp/extra.
DEFAULTS: Mapping[str, Any] = {
    "largest_energy": 0.5,
    "vote": {"temperature": 0.08, "share": 0.5, "energy": 3.5, "unknown_energy": 0.05},
    "exchange": {"temperature": 0.07, "probability": 0.5},
    "template_atoms": 20,
}


class Prototypes(DirectRecipe):
    """Known crystals, sorted by arrangement, with the distances of elements learnt from them."""

    name: ClassVar[str] = "prototypes"
    kind: ClassVar[Kind] = Kind.SAMPLER

    def make(
        self, data: Path, folder: Path, name: str, changes: Config, about: Mapping[str, Any]
    ) -> Card:
        packed = PackedCrystals.load(data)
        if packed.scaffolds is None:
            raise InputError(SCAFFOLDS_MISSING.format(data))
        config = _config(changes)
        names = packed.names or tuple(f"crystal-{i}" for i in range(len(packed)))
        known = packed.values.get(ENERGY)
        energies = [math.nan] * len(packed) if known is None else known.tolist()
        library = build(packed.scaffolds, names, energies, largest_energy=config["largest_energy"])
        facts = {
            "data": packed.metadata.get("sources", data.name),
            "packed_sha256": packed.digest,
            **about,
        }
        return write_library(library, folder, name, config, facts)


def write_library(
    library: Library, folder: Path, name: str, config: Config, about: Mapping[str, Any]
) -> Card:
    """Writes a library with its card.

    Args:
        library: The crystals.
        folder: To write to; the sampler loads it.
        name: Of the library.
        config: Settings of the sampler, all entries of `DEFAULTS`.
        about: What the card says of the data.
    """
    elements = sorted(library.elements)
    content = {
        "name": name,
        "config": {"recipe": Prototypes.name, **config, "elements": elements},
        "sampling": {},
        "training": {
            "crystals": len(library),
            "arrangements": library.num_arrangements,
            "parameters": 0,
            **about,
        },
        "measured": {},
        "elements": elements,
        "licence": LICENCE,
    }
    return weights.save(folder, library.tensors(), content)


def _config(changes: Config) -> dict[str, Any]:
    """The default config with changes.

    Raises:
        InputError: If an entry is not known.
    """
    config = dict(DEFAULTS)
    for entry, value in changes.items():
        default = DEFAULTS.get(entry)
        parts = set(value) if isinstance(value, Mapping) else set()
        if default is None or isinstance(default, Mapping) != isinstance(value, Mapping):
            raise InputError(f"A library has no setting {entry!r}. Known: {_known()}.")
        if isinstance(default, Mapping):
            if not parts <= set(default):
                raise InputError(
                    f"{entry} has no {', '.join(sorted(parts - set(default)))}. Known: {_known()}."
                )
            value = {**default, **value}
        config[entry] = value
    return config


def _known() -> str:
    return ", ".join(
        f"{entry} ({', '.join(value)})" if isinstance(value, Mapping) else entry
        for entry, value in DEFAULTS.items()
    )


RECIPE = Prototypes()
