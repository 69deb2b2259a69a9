"""A folder of crystals that remembers which it holds, so that an interrupted run goes on where it
was.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

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
    #: Name of the journal, and what its entries have.
    JOURNAL, KEYS = "journal", ("index", "structure")

    def __init__(self, store: Store) -> None:
        self.path, self.store = store.path, store
        self._journal = store.journal(self.JOURNAL, *self.KEYS)
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

    def ask(self, indices: Iterable[int]) -> None:
        """Notes in the record that the folder shall hold these crystals, too."""
        asked = asked_of(self.store.facts) | set(indices)
        self.store.note(asked=[[run.start, run.stop] for run in runs(asked)])


def asked_of(record: Mapping[str, Any]) -> set[int]:
    """Which crystals the record of a folder says it shall hold."""
    return {i for start, stop in record.get("asked", ()) for i in range(start, stop)}


def runs(numbers: Iterable[int]) -> Iterator[range]:
    """Numbers as runs without a gap, in order.

    >>> list(runs([3, 0, 1, 4]))
    [range(0, 2), range(3, 5)]
    """
    start = end = None
    for number in sorted(numbers):
        if end is None or start is None:
            start = number
        elif number != end:
            yield range(start, end)
            start = number
        end = number + 1
    if start is not None and end is not None:
        yield range(start, end)
