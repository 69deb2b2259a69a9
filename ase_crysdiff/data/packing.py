"""From files of crystals to one packed file, with a report of what was left out and why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pymatgen.core import Element, Lattice, Structure

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.crystal.reduction import computable_cell, niggli
from ase_crysdiff.crystal.reduction import primitive as primitive_cell
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.errors import InputError
from ase_crysdiff.progress import tqdm
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.finding import find_symmetric


@dataclass(frozen=True)
class PackReport:
    """What became of every entry.

    Args:
        read: Entries found.
        kept: Entries packed.
        skipped: Name and reason of every other entry.
    """

    read: int
    kept: int
    skipped: tuple[tuple[str, str], ...]

    def summary(self) -> str:
        """One line per reason."""
        lines = [f"{self.kept} of {self.read} crystals packed"]
        reasons = Counter(reason.split(":")[0] for _, reason in self.skipped)
        lines += [f"  {count} skipped: {reason}" for reason, count in reasons.most_common()]
        return "\n".join(lines)


def pack(
    sources: Sequence[str | Path],
    *,
    max_atoms: int = 52,
    primitive: bool = False,
    symmetry: bool = False,
    progress: bool | None = None,
) -> tuple[PackedCrystals, PackReport]:
    """Reads crystals, brings them to their Niggli cell and packs them.

    Args:
        sources: Files and folders that `readers.read_all` knows.
        max_atoms: Larger cells are skipped and counted.
        primitive: Whether to reduce to the primitive cell first.
        symmetry: Whether to pack the scaffold of each crystal as well, found within 0.1 Å; crystals
            without one are skipped and counted.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If no crystal is left.
    """
    structures: list[Structure] = []
    kept: list[str] = []
    values: list[dict[str, float]] = []
    symmetric: list[SymmetricCrystal] = []
    skipped: list[tuple[str, str]] = []
    read = 0
    disable = None if progress is None else not progress
    for record in tqdm(read_all(sources), desc="pack", unit=" crystals", disable=disable):
        read += 1
        try:
            structure = prepare(record.load(), max_atoms, primitive)
            symmetric += [find_symmetric(structure)] if symmetry else []
        except Exception as error:
            skipped.append((record.name, reason_of(error)))
            continue
        structures.append(structure)
        kept.append(" ".join(record.name.split()))
        values.append(record.values)
    if not structures:
        report = PackReport(read, 0, tuple(skipped))
        raise InputError(f"Nothing to pack: {report.summary()}")
    names = sorted({name for row in values for name in row})
    columns = {n: torch.tensor([row.get(n, float("nan")) for row in values]) for n in names}
    metadata = {
        "sources": ", ".join(Path(s).name for s in sources),
        "crystals": str(len(structures)),
    }
    scaffolds = PackedScaffolds.of(symmetric) if symmetry else None
    packed = PackedCrystals(from_structures(structures), columns, metadata, scaffolds, tuple(kept))
    return packed, PackReport(read, len(structures), tuple(skipped))


def prepare(structure: Structure, max_atoms: int, primitive: bool = False) -> Structure:
    """The structure in its Niggli cell, by the reduction of predictions; its sites
    keep their order, and lose oxidation states and properties.

    Args:
        structure: Any.
        max_atoms: Larger cells are refused.
        primitive: Whether to take the primitive cell first.

    Raises:
        InputError: If it is no crystal to learn from: disordered, flat, too large, or with atoms on
            each other.
    """
    cell = computable_cell(structure)
    cell = niggli(primitive_cell(cell) if primitive else cell)
    if len(cell) > max_atoms:
        raise InputError(f"more than {max_atoms} atoms")
    elements = [Element.from_Z(int(number)) for number in cell.species]
    return Structure(Lattice(cell.lattice), elements, cell.frac_coords)


def reason_of(error: Exception) -> str:
    """What a report says of an entry that could not be read or prepared."""
    text = str(error).strip().split("\n")[0]
    if isinstance(error, InputError):
        return "disordered" if "disordered" in text else text.rstrip(".")
    return f"unreadable: {type(error).__name__} {text}"
