"""A folder of crystals that remembers which it holds, so that an interrupted run goes on where it
was.
"""

from collections.abc import Sequence

from pymatgen.core import Structure

from ase_crysdiff.data.readers import ALL_CRYSTALS
from ase_crysdiff.data.writing import write_cif
from ase_crysdiff.storage import Store


class CrystalFolder:
    """Crystals on disk, a CIF each, and one line each in a journal that survives a kill at any
    moment.

    Args:
        store: The folder, opened: what the crystals depend on.

    Attributes:
        done: Crystals by their index, as far as they are there.
    """

    #: The file of all crystals, which a finished run writes.
    XYZ = ALL_CRYSTALS

    def __init__(self, store: Store) -> None:
        self.path, self.store = store.path, store
        self._journal = store.journal("journal", "index", "structure")
        self.done: dict[int, Structure] = dict(
            self._journal.decoded(lambda e: (int(e["index"]), Structure.from_dict(e["structure"])))
        )

    def add(self, crystals: Sequence[Structure]) -> None:
        """Writes crystals: CIF files first, then the lines that declare them done.

        Args:
            crystals: Their property `crysdiff_index` says which they are.
        """
        indexed = {int(s.properties["crysdiff_index"]): s for s in crystals}
        for structure in crystals:
            write_cif(structure, self.path)
        self._journal.add({"index": i, "structure": s.as_dict()} for i, s in indexed.items())
        self.done |= indexed
