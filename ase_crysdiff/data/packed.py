"""Crystals packed into one safetensors file that training maps straight to its device. Needs torch
and safetensors only.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.packed_files import names_as_tensor, names_of, read_packed
from ase_crysdiff.data.scaffolds import SCAFFOLDS_MISSING, PackedScaffolds
from ase_crysdiff.errors import InputError, ShapeError
from ase_crysdiff.shapes import Bool, Tensor
from ase_crysdiff.storage import write_tensors

FORMAT = "crysdiff-pack-1"
_FIELDS = ("lattice", "frac_coords", "species", "num_atoms")


@dataclass(frozen=True)
class PackedCrystals:
    """A data set.

    Args:
        batch: All crystals, in the order of the file.
        values: Numbers per crystal by name (properties), NaN where unknown, each of shape
            (crystals,).
        metadata: Where the data come from.
        scaffolds: The same crystals by space group and free numbers, for models that learn from
            them; None where nobody looked for the symmetry.
        names: What the crystals are called where they come from; none where nobody kept that.
    """

    batch: CrystalBatch
    values: Mapping[str, Tensor] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    scaffolds: PackedScaffolds | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.batch)

    def select(self, mask: Bool[Tensor, " crystals"]) -> "PackedCrystals":
        """The crystals for which the mask is true.

        Raises:
            ShapeError: If it is no mask of all crystals, but positions, for instance.
        """
        if mask.dtype != torch.bool or mask.shape != (len(self),):
            raise ShapeError(
                f"A choice of {len(self)} packed crystals must be {len(self)} truth values, got "
                f"{tuple(mask.shape)} of {mask.dtype}."
            )
        chosen = torch.nonzero(mask).flatten()
        values = {name: column[chosen] for name, column in self.values.items()}
        scaffolds = None if self.scaffolds is None else self.scaffolds.select(chosen)
        names = tuple(self.names[i] for i in chosen.tolist()) if self.names else ()
        return PackedCrystals(self.batch.select(chosen), values, self.metadata, scaffolds, names)

    def save(self, path: str | Path) -> None:
        """Writes the file atomically. Species take one byte each."""
        tensors = {name: getattr(self.batch, name).contiguous() for name in _FIELDS}
        tensors["species"] = tensors["species"].to(torch.uint8)
        tensors["num_atoms"] = tensors["num_atoms"].to(torch.int32)
        tensors |= {f"value:{name}": column.contiguous() for name, column in self.values.items()}
        tensors |= {} if self.scaffolds is None else self.scaffolds.tensors()
        tensors |= names_as_tensor(self.names)
        write_tensors(Path(path), tensors, {**self.metadata, "format": FORMAT})

    @staticmethod
    def load(path: str | Path) -> "PackedCrystals":
        """Reads a packed file.

        Raises:
            InputError: If the file is missing, damaged or no packed data set.
        """
        advice = "Make one with: crysdiff pack FILES -o data.safetensors"
        tensors, metadata = read_packed(path, FORMAT, _FIELDS, "packed data set", advice)
        batch = CrystalBatch(
            tensors["lattice"],
            tensors["frac_coords"],
            tensors["species"].long(),
            tensors["num_atoms"].long(),
        )
        values = {name[6:]: column for name, column in tensors.items() if name.startswith("value:")}
        scaffolds = PackedScaffolds.read(tensors)
        return PackedCrystals(batch, values, metadata, scaffolds, names_of(tensors))

    @staticmethod
    def load_symmetric(path: str | Path) -> "PackedCrystals":
        """Reads a packed file of crystals with their scaffolds.

        Raises:
            InputError: If the file is missing, damaged, no packed data set, or holds no scaffolds.
        """
        found = PackedCrystals.load(path)
        if found.scaffolds is None:
            raise InputError(SCAFFOLDS_MISSING.format(path))
        return found

    @property
    def digest(self) -> str:
        """SHA-256 over lattices, coordinates and species, and over scaffolds where there are some:
        names the data in a card.
        """
        digest = hashlib.sha256()
        for name in _FIELDS:
            digest.update(getattr(self.batch, name).contiguous().numpy().tobytes())
        for tensor in () if self.scaffolds is None else self.scaffolds.tensors().values():
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()
