"""Crystals that every textbook shows, from their space groups and published parameters.

Source: R. W. G. Wyckoff, Crystal Structures, 2nd edition, Interscience 1963-1971; BaTiO3 from Kwei
et al., J. Phys. Chem. 97, 2368 (1993). Lengths in Å, rounded.
"""

from dataclasses import dataclass
from typing import TypeAlias

from pymatgen.core import Lattice, Structure

Number: TypeAlias = float | int
Site: TypeAlias = tuple[str, tuple[Number, Number, Number]]


@dataclass(frozen=True)
class Form:
    """One crystal of the panel.

    Args:
        name: Formula and form.
        group: Space group, with the first origin where there are two choices.
        a: Å.
        c: Å; None for cubic crystals.
        sites: Element and coordinates of each kind of site; hexagonal axes for rhombohedral
            crystals.
    """

    name: str
    group: str
    a: float
    c: float | None
    sites: tuple[Site, ...]

    @property
    def structure(self) -> Structure:
        """The primitive cell."""
        if self.c is None:
            lattice = Lattice.cubic(self.a)
        elif self.group.startswith(("P4", "I4")):
            lattice = Lattice.tetragonal(self.a, self.c)
        else:
            lattice = Lattice.hexagonal(self.a, self.c)
        elements, places = zip(*self.sites, strict=True)
        return Structure.from_spacegroup(
            self.group, lattice, elements, places
        ).get_primitive_structure()


_O, _C = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5)
_T, _P = 1 / 3, 2 / 3

PANEL = (
    Form("NaCl", "Fm-3m", 5.640, None, (("Na", _O), ("Cl", _C))),
    Form("MgO", "Fm-3m", 4.212, None, (("Mg", _O), ("O", _C))),
    Form("CsCl", "Pm-3m", 4.123, None, (("Cs", _O), ("Cl", _C))),
    Form("ZnS zinc blende", "F-43m", 5.409, None, (("Zn", _O), ("S", (0.25, 0.25, 0.25)))),
    Form("ZnS wurtzite", "P6_3mc", 3.822, 6.260, (("Zn", (_T, _P, 0)), ("S", (_T, _P, 0.375)))),
    Form("CaF2", "Fm-3m", 5.463, None, (("Ca", _O), ("F", (0.25, 0.25, 0.25)))),
    Form("TiO2 rutile", "P4_2/mnm", 4.594, 2.959, (("Ti", _O), ("O", (0.305, 0.305, 0)))),
    Form("TiO2 anatase", "I4_1/amd", 3.785, 9.514, (("Ti", _O), ("O", (0, 0, 0.2081)))),
    Form("SrTiO3", "Pm-3m", 3.905, None, (("Sr", _O), ("Ti", _C), ("O", (0.5, 0.5, 0)))),
    Form("Al2O3", "R-3c", 4.759, 12.991, (("Al", (0, 0, 0.3522)), ("O", (0.3063, 0, 0.25)))),
    Form("MgB2", "P6/mmm", 3.086, 3.524, (("Mg", _O), ("B", (_T, _P, 0.5)))),
    Form("NiAs", "P6_3/mmc", 3.619, 5.034, (("Ni", _O), ("As", (_T, _P, 0.25)))),
    Form("Cu3Au", "Pm-3m", 3.749, None, (("Au", _O), ("Cu", (0, 0.5, 0.5)))),
    Form("Cr3Si", "Pm-3n", 4.556, None, (("Si", _O), ("Cr", (0.25, 0, 0.5)))),
    Form("MgAl2O4", "Fd-3m", 8.083, None, (("Mg", _O), ("Al", (0.625,) * 3), ("O", (0.3874,) * 3))),
    Form("GaN", "P6_3mc", 3.189, 5.185, (("Ga", (_T, _P, 0)), ("N", (_T, _P, 0.377)))),
    Form("FeS2 pyrite", "Pa-3", 5.418, None, (("Fe", _O), ("S", (0.385,) * 3))),
    Form("LaNi5", "P6/mmm", 5.017, 3.986, (("La", _O), ("Ni", (_T, _P, 0)), ("Ni", (0.5, 0, 0.5)))),
    Form("Fe2O3", "R-3c", 5.035, 13.747, (("Fe", (0, 0, 0.3553)), ("O", (0.3059, 0, 0.25)))),
    Form("LiCoO2", "R-3m", 2.816, 14.054, (("Li", _O), ("Co", (0, 0, 0.5)), ("O", (0, 0, 0.2395)))),
    Form(
        "BaTiO3",
        "P4mm",
        3.991,
        4.035,
        (
            ("Ba", _O),
            ("Ti", (0.5, 0.5, 0.5224)),
            ("O", (0.5, 0.5, -0.0244)),
            ("O", (0.5, 0, 0.4895)),
        ),
    ),
    Form("Si", "Fd-3m", 5.431, None, (("Si", _O),)),
)
