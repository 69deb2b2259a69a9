"""Crystals of textbooks by space group and sites: what the dialects of CIF are written from.

Settings are standard ones: unique axis b, hexagonal axes, origin choice 2. Lengths in Å.

Source: R. W. G. Wyckoff, Crystal Structures, 2nd edition, Interscience 1963-1971; American
Mineralogist Crystal Structure Database. Rounded.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import spglib
from ase.spacegroup import crystal
from pymatgen.core import Composition, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.symmetry.groups import SpaceGroup

_TABLE = """
periclase; Fm-3m; 4.212; Mg 0 0 0, O 1/2 1/2 1/2; Mg4 O4
halite; Fm-3m; 5.640; Na 0 0 0, Cl 1/2 1/2 1/2; Na4 Cl4
CsCl; Pm-3m; 4.123; Cs 0 0 0, Cl 1/2 1/2 1/2; Cs1 Cl1
silicon; Fd-3m; 5.431; Si 1/8 1/8 1/8; Si8
diamond; Fd-3m; 3.567; C 1/8 1/8 1/8; C8
copper; Fm-3m; 3.615; Cu 0 0 0; Cu4
iron; Im-3m; 2.866; Fe 0 0 0; Fe2
magnesium; P6_3/mmc; 3.209 5.211; Mg 1/3 2/3 1/4; Mg2
graphite; P6_3/mmc; 2.464 6.711; C 0 0 1/4, C 1/3 2/3 1/4; C4
sphalerite; F-43m; 5.409; Zn 0 0 0, S 1/4 1/4 1/4; Zn4 S4
zincite; P6_3mc; 3.250 5.207; Zn 1/3 2/3 0, O 1/3 2/3 0.3819; Zn2 O2
boron nitride; P6_3/mmc; 2.504 6.661; B 1/3 2/3 1/4, N 1/3 2/3 3/4; B2 N2
fluorite; Fm-3m; 5.463; Ca 0 0 0, F 1/4 1/4 1/4; Ca4 F8
lithia; Fm-3m; 4.619; O 0 0 0, Li 1/4 1/4 1/4; Li8 O4
rutile; P4_2/mnm; 4.594 2.959; Ti 0 0 0, O 0.3049 0.3049 0; Ti2 O4
anatase; I4_1/amd; 3.785 9.514; Ti 0 3/4 1/8, O 0 1/4 0.0816; Ti4 O8
brookite; Pbca; 9.184 5.447 5.145; Ti 0.1289 0.0972 0.8628, O 0.0095 0.1491 0.1835, O 0.2314 0.1110 0.5366; Ti8 O16
corundum; R-3c; 4.759 12.991; Al 0 0 0.3523, O 0.3064 0 1/4; Al12 O18
hematite; R-3c; 5.035 13.747; Fe 0 0 0.3553, O 0.3059 0 1/4; Fe12 O18
eskolaite; R-3c; 4.959 13.594; Cr 0 0 0.3475, O 0.3050 0 1/4; Cr12 O18
calcite; R-3c; 4.990 17.061; Ca 0 0 0, C 0 0 1/4, O 0.2573 0 1/4; Ca6 C6 O18
aragonite; Pnma; 5.7404 4.9614 7.9671; Ca 0.7597 1/4 0.4150, C 0.9138 1/4 0.7622, O 0.9038 1/4 0.9225, O 0.9128 0.4736 0.6810; Ca4 C4 O12
dolomite; R-3; 4.808 16.010; Ca 0 0 0, Mg 0 0 1/2, C 0 0 0.2427, O 0.2478 0.9646 0.2439; Ca3 Mg3 C6 O18
ilmenite; R-3; 5.089 14.092; Fe 0 0 0.3554, Ti 0 0 0.1465, O 0.3174 0.0233 0.2451; Fe6 Ti6 O18
LiCoO2; R-3m; 2.816 14.052; Co 0 0 0, Li 0 0 1/2, O 0 0 0.2605; Li3 Co3 O6
LiNbO3; R3c; 5.148 13.863; Nb 0 0 0, Li 0 0 0.2787, O 0.0492 0.3446 0.0647; Li6 Nb6 O18
tausonite; Pm-3m; 3.905; Sr 1/2 1/2 1/2, Ti 0 0 0, O 1/2 0 0; Sr1 Ti1 O3
BaTiO3; P4mm; 3.994 4.034; Ba 0 0 0, Ti 1/2 1/2 0.515, O 1/2 1/2 0.023, O 1/2 0 0.486; Ba1 Ti1 O3
CaTiO3; Pnma; 5.442 7.641 5.381; Ca 0.0362 1/4 0.9930, Ti 0 0 1/2, O 0.4840 1/4 0.0710, O 0.2890 0.0370 0.7110; Ca4 Ti4 O12
spinel; Fd-3m; 8.083; Mg 1/8 1/8 1/8, Al 1/2 1/2 1/2, O 0.2624 0.2624 0.2624; Mg8 Al16 O32
magnetite; Fd-3m; 8.396; Fe 1/8 1/8 1/8, Fe 1/2 1/2 1/2, O 0.2549 0.2549 0.2549; Fe24 O32
triphylite; Pnma; 10.332 6.010 4.692; Li 0 0 0, Fe 0.2822 1/4 0.9747, P 0.0948 1/4 0.4182, O 0.0968 1/4 0.7428, O 0.4571 1/4 0.2060, O 0.1656 0.0465 0.2848; Li4 Fe4 P4 O16
barite; Pnma; 8.884 5.456 7.157; Ba 0.1845 1/4 0.1585, S 0.4370 1/4 0.6909, O 0.5870 1/4 0.6060, O 0.3176 1/4 0.5498, O 0.4194 0.9705 0.8118; Ba4 S4 O16
pyrite; Pa-3; 5.418; Fe 0 0 0, S 0.3851 0.3851 0.3851; Fe4 S8
marcasite; Pnnm; 4.445 5.425 3.388; Fe 0 0 0, S 0.2005 0.3782 0; Fe2 S4
molybdenite; P6_3/mmc; 3.160 12.294; Mo 1/3 2/3 1/4, S 1/3 2/3 0.6210; Mo2 S4
CdI2; P-3m1; 4.240 6.840; Cd 0 0 0, I 1/3 2/3 0.2492; Cd1 I2
brucite; P-3m1; 3.149 4.752; Mg 0 0 0, O 1/3 2/3 0.2211, H 1/3 2/3 0.4130; Mg1 O2 H2
quartz; P3_221; 4.913 5.405; Si 0.4697 0 2/3, O 0.4133 0.2672 0.7855; Si3 O6
cristobalite; P4_12_12; 4.972 6.922; Si 0.3003 0.3003 0, O 0.2392 0.1044 0.1787; Si4 O8
zircon; I4_1/amd; 6.607 5.982; Zr 0 3/4 1/8, Si 0 1/4 3/8, O 0 0.0660 0.1950; Zr4 Si4 O16
baddeleyite; P2_1/c; 5.150 5.212 5.317 99.23; Zr 0.2754 0.0395 0.2083, O 0.0700 0.3317 0.3447, O 0.4496 0.7569 0.4792; Zr4 O8
tenorite; C2/c; 4.684 3.423 5.129 99.54; Cu 1/4 1/4 0, O 0 0.4184 1/4; Cu4 O4
cuprite; Pn-3m; 4.270; Cu 0 0 0, O 1/4 1/4 1/4; Cu4 O2
YBa2Cu3O7; Pmmm; 3.823 3.886 11.681; Y 1/2 1/2 1/2, Ba 1/2 1/2 0.1843, Cu 0 0 0, Cu 0 0 0.3556, O 0 1/2 0, O 1/2 0 0.3773, O 0 1/2 0.3789, O 0 0 0.1584; Y1 Ba2 Cu3 O7
La2CuO4; I4/mmm; 3.787 13.226; La 0 0 0.3606, Cu 0 0 0, O 0 1/2 0, O 0 0 0.1828; La4 Cu2 O8
FeSe; P4/nmm; 3.773 5.526; Fe 3/4 1/4 0, Se 1/4 1/4 0.2672; Fe2 Se2
litharge; P4/nmm; 3.976 5.023; O 3/4 1/4 0, Pb 1/4 1/4 0.2385; Pb2 O2
chalcopyrite; I-42d; 5.289 10.423; Cu 0 0 0, Fe 0 0 1/2, S 0.2574 1/4 1/8; Cu4 Fe4 S8
pyrope; Ia-3d; 11.459; Mg 1/8 0 1/4, Al 0 0 0, Si 3/8 0 1/4, O 0.0329 0.0502 0.6534; Mg24 Al16 Si24 O96
MgB2; P6/mmm; 3.085 3.523; Mg 0 0 0, B 1/3 2/3 1/2; Mg1 B2
LaB6; Pm-3m; 4.156; La 0 0 0, B 0.1993 1/2 1/2; La1 B6
Bi2Te3; R-3m; 4.386 30.497; Bi 0 0 0.4000, Te 0 0 0, Te 0 0 0.2097; Bi6 Te9
antimony; R-3m; 4.307 11.273; Sb 0 0 0.2335; Sb6
Cr3Si; Pm-3n; 4.555; Si 0 0 0, Cr 1/4 0 1/2; Cr6 Si2
MgCu2; Fd-3m; 7.034; Mg 1/8 1/8 1/8, Cu 1/2 1/2 1/2; Mg8 Cu16
MgZn2; P6_3/mmc; 5.221 8.567; Mg 1/3 2/3 0.0620, Zn 0 0 0, Zn 0.8305 0.6610 1/4; Mg4 Zn8
cementite; Pnma; 5.091 6.743 4.526; Fe 0.0367 1/4 0.8402, Fe 0.1816 0.0666 0.3374, C 0.8767 1/4 0.4436; Fe12 C4
gallium; Cmce; 4.519 7.658 4.526; Ga 0 0.1549 0.0810; Ga8
uranium; Cmcm; 2.854 5.870 4.955; U 0 0.1025 1/4; U4
"""  # noqa: E501


@cache
def setting(hall: int):
    return spglib.get_spacegroup_type(hall)


@dataclass(frozen=True)
class Crystal:
    """A crystal in the standard setting of its group.

    Args:
        name: Of the mineral.
        group: Short symbol.
        cell: a, b, c (Å), alpha, beta, gamma (degrees).
        sites: Element and coordinates of each kind of site.
        contents: Formula of the cell.
    """

    name: str
    group: str
    cell: tuple[float, ...]
    sites: tuple[tuple[str, tuple[float, float, float]], ...]
    contents: str

    @cached_property
    def hall(self) -> int:
        """The setting, as spglib counts them."""
        for h in range(1, 531):
            if setting(h).international_short == self.group and setting(h).choice in (
                "",
                "2",
                "H",
                "b",
                "b1",
            ):
                return h
        raise AssertionError(self.group)

    @cached_property
    def structure(self) -> Structure:
        """All atoms, by the tables of ASE, which the reader does not use."""
        own = setting(self.hall)
        species, places = zip(*self.sites, strict=True)
        atoms = crystal(
            species,
            places,
            spacegroup=own.number,
            setting=2 if own.choice == "2" else 1,
            cellpar=self.cell,
        )
        return AseAtomsAdaptor.get_structure(atoms)

    @property
    def formula(self) -> str:
        return Composition(self.contents).reduced_composition.formula

    @property
    def units(self) -> int:
        return round(Composition(self.contents).get_reduced_composition_and_factor()[1])


def _number(text: str) -> float:
    top, _, bottom = text.partition("/")
    return float(top) / float(bottom or 1)


def _parameters(text: str, group: str) -> tuple[float, ...]:
    numbers = [float(word) for word in text.split()]
    kind = SpaceGroup(group).crystal_system
    if kind == "cubic":
        return (*numbers * 3, 90, 90, 90)
    if kind in ("hexagonal", "trigonal"):
        return (numbers[0], *numbers, 90, 90, 120)
    if kind == "tetragonal":
        return (numbers[0], *numbers, 90, 90, 90)
    return (*numbers[:3], 90, *(numbers[3:] or [90]), 90)


def _crystal(line: str) -> Crystal:
    name, group, cell, sites, contents = (part.strip() for part in line.split(";"))
    listed = [site.split() for site in sites.split(",")]
    places = tuple((words[0], tuple(map(_number, words[1:]))) for words in listed)
    return Crystal(name, group, _parameters(cell, group), places, contents)


CRYSTALS = {c.name: c for c in map(_crystal, _TABLE.strip().splitlines())}


def environments(structure: Structure, count: int = 12) -> dict[int, np.ndarray]:
    """By atomic number the distances from each atom to its nearest neighbours, Å, each once."""
    found: dict[int, list[np.ndarray]] = {}
    centres, _, _, distances = structure.get_neighbor_list(6.0)
    for i, site in enumerate(structure):
        near = np.sort(distances[centres == i])[:count]
        known = found.setdefault(site.specie.Z, [])
        if not any(np.abs(near - other).max() < 0.01 for other in known):
            known.append(near)
    return {z: np.array(rows) for z, rows in found.items()}


def same_crystal(first: Structure, second: Structure, tolerance: float = 0.03) -> bool:
    """Whether every atom of each has an atom of the same element and environment in the other."""
    if first.composition.reduced_formula != second.composition.reduced_formula:
        return False
    if abs(first.volume / len(first) / (second.volume / len(second)) - 1) > 0.01:
        return False
    ours, theirs = environments(first), environments(second)
    near = (np.abs(ours[z][:, None] - theirs[z][None]).max(-1) < tolerance for z in ours)
    return all(table.any(0).all() and table.any(1).all() for table in near)
