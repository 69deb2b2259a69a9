"""A folder of molecules that remembers what is done, so that an interrupted run goes on where it
was.
"""

from collections.abc import Iterable, Sequence

from pymatgen.core import Molecule

from ase_crysdiff.data.writing_molecules import file_name, write_xyz
from ase_crysdiff.sampling.molecules.molecule_set import MoleculeReport, MoleculeSet
from ase_crysdiff.storage import Store


class MoleculeFolder:
    """Molecules on disk, an XYZ file each, and one line each in a journal that survives a kill at
    any moment.

    Args:
        store: The folder, opened: what the molecules depend on.

    Attributes:
        done: Molecules by their index, as far as they are there.
    """

    #: Files of all molecules, which a finished run writes.
    ALL = ("molecules.extxyz", "molecules.csv")

    def __init__(self, store: Store) -> None:
        self.store = store
        self._journal = store.journal("journal", "index", "molecule")
        self.done: dict[int, Molecule] = dict(
            self._journal.decoded(lambda e: (int(e["index"]), Molecule.from_dict(e["molecule"])))
        )

    def on_draws(self, draws: Sequence[object], accepted: Sequence[Molecule]) -> None:
        """Keeps what a batch of draws has brought: files first, then the lines that declare them
        done.

        Args:
            draws: Not looked at.
            accepted: Molecules whose property `crysdiff_index` says which they are.
        """
        indexed = {int(m.properties["crysdiff_index"]): m for m in accepted}
        for molecule in accepted:
            write_xyz([molecule], self.store.path / file_name(molecule))
        self._journal.add({"index": i, "molecule": m.as_dict()} for i, m in indexed.items())
        self.done |= indexed

    def finish(self, indices: Iterable[int], report: MoleculeReport) -> MoleculeSet:
        """Writes the files of all molecules and the report; returns those with these indices.

        Args:
            indices: Which molecules were asked for now.
            report: Of what was drawn now.
        """
        wanted = sorted(indices)
        molecules = [self.done[i] for i in wanted if i in self.done]
        values = {**vars(report), "asked": len(wanted), "made": len(molecules)}
        found = MoleculeSet(molecules, MoleculeReport(**values))
        for name in self.ALL if molecules else ():
            found.write(self.store.path / name)
        self.store.note(last_run=vars(report))
        return found
