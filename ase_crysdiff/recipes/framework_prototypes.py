"""A library of known frameworks, whose building blocks are exchanged to assemble others.

Source: Colon et al. 2017 for building frameworks from blocks in known nets; here the nets are those
of measured frameworks, with their cells and frames, as `prototypes.frameworks` describes.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar

from ase_crysdiff.data.frameworks import PackedFrameworks
from ase_crysdiff.errors import InputError
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import Card, Config, Kind
from ase_crysdiff.models.recipe import DirectRecipe
from ase_crysdiff.prototypes.frameworks.building import build
from ase_crysdiff.prototypes.frameworks.kinds import Scale

LICENCE = "CC BY 4.0 (holds frameworks of a data set under CC BY 4.0; see training.data)"


class FrameworkPrototypes(DirectRecipe):
    """Known frameworks as arrangements of building blocks."""

    name: ClassVar[str] = "framework-prototypes"
    kind: ClassVar[Kind] = Kind.SAMPLER

    def make(
        self, data: Path, folder: Path, name: str, changes: Config, about: Mapping[str, Any]
    ) -> Card:
        packed = PackedFrameworks.load(data)
        scale = _scale(changes)
        names = packed.names or tuple(f"framework-{i}" for i in range(len(packed)))
        library = build(packed.batch, names)
        elements = sorted(library.elements)
        content = {
            "name": name,
            "config": {"recipe": self.name, "scale": asdict(scale), "elements": elements},
            "sampling": {},
            "training": {
                "data": packed.metadata.get("sources", data.name),
                "packed_sha256": packed.digest,
                "frameworks": len(library),
                "blocks": len(library.kinds),
                "parameters": 0,
                **about,
            },
            "measured": {},
            "elements": elements,
            "licence": LICENCE,
        }
        return weights.save(folder, library.tensors(), content)


def _scale(changes: Config) -> Scale:
    """How blocks are compared, with changes.

    Raises:
        InputError: If an entry is not known.
    """
    known = [field.name for field in fields(Scale)]
    changed = dict(changes.get("scale", {}))
    unknown = [*(set(changes) - {"scale"}), *(set(changed) - set(known))]
    if unknown:
        raise InputError(
            f"A library of frameworks has no setting {sorted(unknown)[0]!r}. Known: scale "
            f"({', '.join(known)})."
        )
    return Scale(**changed)


RECIPE = FrameworkPrototypes()
