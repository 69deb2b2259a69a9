"""Tables of tasks as files that `crysdiff finetune` and any other program reads."""

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path

from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter

from ase_crysdiff.errors import InputError
from ase_crysdiff.progress import tqdm
from ase_crysdiff.storage import write_bytes
from ase_crysdiff.tasks.base import Task


def write_tasks(
    chosen: Sequence[Task],
    path: Path,
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> int:
    """Writes the rows of one or several tasks as one table with the columns `material_id`, the name
    of the first task, and `cif`.

    Args:
        chosen: Tasks of one property, in one unit.
        path: A `.csv` or `.csv.gz` file.
        folder: Of the data packs; None takes the one that `CRYSDIFF_DATA` names.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Returns:
        The number of rows.

    Raises:
        InputError: If the units differ, the file is to be no table, or data are not there.
    """
    units = {one.name: one.unit for one in chosen}
    if len(set(units.values())) > 1:
        said = ", ".join(f"{name} in {unit}" for name, unit in units.items())
        raise InputError(f"A table has one unit, and there are {said}. Write them one by one.")
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        raise InputError(f"{path} is no table. Give a name that ends with .csv or .csv.gz.")
    entries = [entry for one in chosen for entry in one.entries(folder)]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["material_id", chosen[0].name, "cif"])
    disable = None if progress is None else not progress
    count = 0
    for entry in tqdm(entries, desc=path.name, unit=" rows", disable=disable):
        try:
            crystal = entry.load()
        except InputError:  # a crystal that cannot be read is in nobody's table
            continue
        # Labels of sites, which may come twice, stay behind.
        bare = Structure(crystal.lattice, crystal.species_and_occu, crystal.frac_coords)
        table.writerow([entry.name, entry.value, str(CifWriter(bare))])
        count += 1
    content = text.getvalue().encode()
    # Without the time, so that the same rows are the same file.
    write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return count
