"""Names of space groups and crystal systems."""

import re

from pymatgen.symmetry.groups import sg_symbol_from_int_number

#: The first space group of each, in order.
SYSTEMS = {
    "triclinic": 1, "monoclinic": 3, "orthorhombic": 16, "tetragonal": 75, "trigonal": 143, "hexagonal": 168, "cubic": 195,
}  # fmt: skip


def group_symbol(number: int | None) -> str:
    """The short symbol of a space group; nothing for None."""
    if not number:
        return ""
    symbol = str(sg_symbol_from_int_number(number))
    return re.sub(r"^([A-Z])1(.+)1$", r"\1\2", symbol) if 3 <= number <= 15 else symbol


def crystal_system(number: int) -> str:
    """The crystal system of a space group."""
    return next(name for name, first in reversed(SYSTEMS.items()) if number >= first)
