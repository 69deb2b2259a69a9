"""Many crystals as scaffolds with free numbers: what symmetric models learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch

from ase_crysdiff.crystal.batch import rows_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Float, Int, Tensor
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, space_group

#: Before the names of the tensors in a packed file.
PREFIX = "scaffold:"
#: What to say of a packed file without them.
SCAFFOLDS_MISSING = (
    "{} holds no scaffolds. Pack the crystals with: crysdiff pack --symmetry FILES -o "
    "data.safetensors"
)


@dataclass(frozen=True)
class PackedScaffolds:
    """Crystals in the primitive standard cells of their space groups.

    Args:
        group: Number of the space group.
        num_sites: Occupied sites.
        species: Atomic number of each site, crystal after crystal.
        letter: Place of each site's letter in the alphabet of `symmetry.tables.LETTERS`.
        num_free: Free coordinates.
        free_numbers: The free coordinates of all sites, crystal after crystal.
        lattice: Rows of the primitive standard cell, Å.
    """

    group: Int[Tensor, " crystals"]
    num_sites: Int[Tensor, " crystals"]
    species: Int[Tensor, " sites"]
    letter: Int[Tensor, " sites"]
    num_free: Int[Tensor, " crystals"]
    free_numbers: Float[Tensor, " numbers"]
    lattice: Float[Tensor, "crystals 3 3"]

    def __post_init__(self) -> None:
        if int(self.num_sites.sum()) != len(self.species) or int(self.num_free.sum()) != len(
            self.free_numbers
        ):
            raise InputError(
                f"The scaffolds have {int(self.num_sites.sum())} sites and "
                f"{int(self.num_free.sum())} free numbers, but {len(self.species)} species and "
                f"{len(self.free_numbers)} numbers are there. Pack the crystals again."
            )

    def __len__(self) -> int:
        return len(self.group)

    @staticmethod
    def of(crystals: Sequence[SymmetricCrystal]) -> "PackedScaffolds":
        """Packs crystals."""
        sites = [site for crystal in crystals for site in crystal.scaffold.sites]
        numbers = [crystal.free_numbers for crystal in crystals]
        return PackedScaffolds(
            torch.tensor([c.scaffold.group for c in crystals]),
            torch.tensor([len(c.scaffold.sites) for c in crystals]),
            torch.tensor([z for z, _ in sites]),
            torch.tensor([LETTERS.index(letter) for _, letter in sites]),
            torch.tensor([c.scaffold.free for c in crystals]),
            torch.tensor(np.concatenate([*numbers, np.zeros(0)]), dtype=torch.float32),
            torch.tensor(np.array([c.lattice for c in crystals]), dtype=torch.float32),
        )

    def select(self, chosen: Int[Tensor, " chosen"]) -> "PackedScaffolds":
        """The crystals at these positions, in this order."""
        _, sites = rows_of(self.num_sites, chosen)
        _, numbers = rows_of(self.num_free, chosen)
        return PackedScaffolds(
            self.group[chosen],
            self.num_sites[chosen],
            self.species[sites],
            self.letter[sites],
            self.num_free[chosen],
            self.free_numbers[numbers],
            self.lattice[chosen],
        )

    @cached_property
    def num_atoms(self) -> Int[Tensor, " crystals"]:
        """Atoms of each primitive cell."""
        groups = self.group.repeat_interleave(self.num_sites).tolist()
        pairs = zip(groups, self.letter.tolist(), strict=True)
        sizes = [space_group(group).positions[letter].multiplicity for group, letter in pairs]
        crystals = torch.arange(len(self)).repeat_interleave(self.num_sites)
        return torch.zeros_like(self.group).index_add(0, crystals, torch.tensor(sizes))

    @cached_property
    def _ends(self) -> tuple[list[int], list[int]]:
        """Where the sites and the free numbers of each crystal end."""
        return self.num_sites.cumsum(0).tolist(), self.num_free.cumsum(0).tolist()

    def scaffold(self, index: int) -> Scaffold:
        """The scaffold of one of them, as it was packed."""
        end = self._ends[0][index]
        sites = slice(end - int(self.num_sites[index]), end)
        pairs = zip(self.species[sites].tolist(), self.letter[sites].tolist(), strict=True)
        return Scaffold(int(self.group[index]), tuple((z, LETTERS[x]) for z, x in pairs))

    def crystal(self, index: int) -> SymmetricCrystal:
        """One of them."""
        end = self._ends[1][index]
        numbers = self.free_numbers[end - int(self.num_free[index]) : end]
        lattice = self.lattice[index].double().numpy()
        return SymmetricCrystal(self.scaffold(index), lattice, numbers.double().numpy())

    def tensors(self) -> dict[str, Tensor]:
        """For a packed file, by name; whole numbers take one or two bytes."""
        narrow = {"group": torch.uint8, "species": torch.uint8, "letter": torch.uint8}
        narrow |= {"num_sites": torch.int16, "num_free": torch.int16}
        return {
            f"{PREFIX}{f.name}": getattr(self, f.name).to(narrow.get(f.name)).contiguous()
            for f in fields(self)
        }

    @staticmethod
    def read(tensors: Mapping[str, Tensor]) -> "PackedScaffolds | None":
        """From the tensors of a packed file; None where it has none of them."""
        if f"{PREFIX}group" not in tensors:
            return None
        names = [f.name for f in fields(PackedScaffolds)]
        found = {name: tensors[f"{PREFIX}{name}"] for name in names}
        return PackedScaffolds(
            **{n: x if x.is_floating_point() else x.long() for n, x in found.items()}
        )
