"""The table of structures with further columns."""

from collections.abc import Callable, Iterable

from pymatgen.core import Structure

from ase_crysdiff.data.table import format_table


def wide_table(
    structures: Iterable[Structure], head: str, cells: Callable[[Structure], str]
) -> str:
    """A plain text table: what `format_table` prints, and more beside it.

    Args:
        structures: One row each.
        head: Titles of the further columns.
        cells: What stands below them for a structure.
    """
    structures = list(structures)
    lines = format_table(structures).splitlines()
    width = max(map(len, lines))
    first = f"{lines[0]:{width}}  {head}"
    rows = [
        f"{line:{width}}  {cells(structure)}"
        for line, structure in zip(lines[2:], structures, strict=True)
    ]
    return "\n".join([first, "-" * len(first), *rows])
