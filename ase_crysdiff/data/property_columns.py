"""What is known of packed crystals, as the rows that a model is told: labels of their file, and
what follows from the crystals themselves.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.elements import MASSES
from ase_crysdiff.crystal.properties import CLASS, ELEMENTS, NUMBER, Property
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Float, Int, Tensor

#: Labels: their unit, and what columns of packed files may be called that hold them.
LABELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "band_gap": ("eV", ("band_gap",)),
    "formation_energy": ("eV/atom", ("formation_energy", "formation_energy_per_atom")),
    "energy_above_hull": ("eV/atom", ("energy_above_hull", "e_above_hull")),
    "bulk_modulus": ("GPa", ("bulk_modulus",)),
    "shear_modulus": ("GPa", ("shear_modulus",)),
    "gap": ("eV", ("gap",)),
    "homo": ("eV", ("homo",)),
    "lumo": ("eV", ("lumo",)),
    "dipole": ("D", ("dipole",)),
    "heat_capacity": ("cal/mol/K", ("heat_capacity",)),
    "internal_energy": ("eV", ("internal_energy",)),
}
#: What follows from crystals: the kind, and the unit.
DERIVED: Mapping[str, tuple[str, str]] = {
    "density": (NUMBER, "g/cm3"),
    "num_elements": (NUMBER, "1"),
    "crystal_system": (CLASS, "1"),
    "space_group": (CLASS, "1"),
    "chemical_system": (ELEMENTS, "1"),
}
_SYSTEMS = (
    (1, "triclinic"),
    (3, "monoclinic"),
    (16, "orthorhombic"),
    (75, "tetragonal"),
    (143, "trigonal"),
    (168, "hexagonal"),
    (195, "cubic"),
)
#: g/cm3 of one atomic mass unit in one Å³.
_DENSITY = 1.66053906660


def declare(
    data: PackedCrystals, names: Collection[str], units: Mapping[str, str] | None = None
) -> dict[str, Property]:
    """The properties of a training set, with what it holds of them.

    Args:
        data: Crystals with their labels.
        names: Such as "band_gap"; any column of the file is one.
        units: Of columns that have no unit by their name.

    Raises:
        InputError: If a property is neither a label of the file nor follows from the crystals, or
            is unknown or the same for all of them.
    """
    found = {}
    for name in names:
        if name in DERIVED and DERIVED[name][0] == ELEMENTS:
            found[name] = Property(name, ELEMENTS)
        elif name in DERIVED and DERIVED[name][0] == CLASS:
            kinds = _groups(data, name).tolist()
            order = sorted(set(kinds))
            named = map(str, order) if name == "space_group" else (_SYSTEMS[k][1] for k in order)
            found[name] = Property(name, CLASS, classes=tuple(named))
        else:
            found[name] = _number(name, _column(data, name), (units or {}).get(name))
    return found


def rows_of(
    data: PackedCrystals, properties: Mapping[str, Property]
) -> dict[str, Float[Tensor, "crystals values"]]:
    """What a model is told of each crystal, as `Property.row` makes it; NaN where nobody knows.

    Args:
        data: Crystals with their labels.
        properties: As the model declares them.

    Raises:
        InputError: If one of them is not known of these crystals.
    """
    found = {}
    for name, one in properties.items():
        if one.kind == ELEMENTS:
            found[name] = _elements(data)
        elif one.kind == CLASS:
            kinds = _groups(data, name).tolist()
            texts = [str(k) if name == "space_group" else _SYSTEMS[k][1] for k in kinds]
            places = {text: float(i) for i, text in enumerate(one.classes)}
            found[name] = torch.tensor([[places.get(text, torch.nan)] for text in texts])
        else:
            found[name] = _column(data, name).float().unsqueeze(-1)
    return found


def unit_of(name: str) -> str:
    """The unit of a property of this package's; "1" where the name is not known."""
    if name in LABELS:
        return LABELS[name][0]
    return DERIVED[name][1] if name in DERIVED else "1"


def unit_for(name: str, unit: str | None) -> str:
    """The unit of a property.

    Raises:
        InputError: If it is another one than this package has for the property, or none is given
            for one that it does not know.
    """
    known = LABELS[name][0] if name in LABELS else None
    if unit is None and known is None:
        raise InputError(
            f"In which unit is {name}? Give unit=, '1' for a plain number. Known without one: "
            f"{', '.join(f'{n} ({u})' for n, (u, _) in LABELS.items())}."
        )
    if unit is not None and known is not None and unit != known:
        raise InputError(f"{name} is told in {known}, not in {unit}. Convert the values.")
    return str(unit or known)


def _number(name: str, column: Tensor, unit: str | None) -> Property:
    """The declaration of a number."""
    known = column[column.isfinite()].double()
    scale = float(known.std()) if len(known) > 1 else 0.0
    if not scale > 0:
        raise InputError(
            f"{name} is known of {len(known)} of {len(column)} training crystals"
            f"{', and the same for all of them' if len(known) > 1 else ''}: nothing can be learnt "
            "of it. Pack crystals with this column."
        )
    return Property(
        name,
        NUMBER,
        unit or unit_of(name),
        (_rounded(known.min()), _rounded(known.max())),
        _rounded(known.mean()),
        _rounded(scale),
    )


def _rounded(value: Any) -> float:
    return float(f"{float(value):.6g}")


def _column(data: PackedCrystals, name: str) -> Float[Tensor, " crystals"]:
    """A number for each crystal."""
    batch = data.batch
    if name == "density":
        masses = torch.tensor(MASSES, dtype=torch.float64)[batch.species]
        total = torch.zeros(len(batch), dtype=masses.dtype)
        total = total.index_add(0, _owners(batch), masses)
        return _DENSITY * total / torch.linalg.det(batch.lattice.double()).abs()
    if name == "num_elements":
        return (_elements(data) > 0).sum(1).double()
    for column in LABELS.get(name, ("", (name,)))[1]:
        if column in data.values:
            return data.values[column]
    known = [*data.values, *DERIVED]
    raise InputError(
        f"Nothing is known of the {name} of these crystals; there are {', '.join(sorted(known))}. "
        "crysdiff pack keeps the number columns of tables."
    )


def _owners(batch: CrystalBatch) -> Int[Tensor, " atoms"]:
    """Which crystal each atom belongs to."""
    return torch.arange(len(batch)).repeat_interleave(batch.num_atoms)


def _elements(data: PackedCrystals) -> Float[Tensor, "crystals species"]:
    """1 for every element that occurs."""
    batch = data.batch
    found = torch.zeros(len(batch), NUM_SPECIES)
    found[_owners(batch), batch.species] = 1.0
    return found


def _groups(data: PackedCrystals, name: str) -> Tensor:
    """Number of the space group, or place of the crystal system, of each crystal."""
    if data.scaffolds is None:
        raise InputError(
            f"The {name} of crystals is read off their scaffolds, and the data have none. Pack "
            "them with crysdiff pack --symmetry."
        )
    group = data.scaffolds.group.long()
    if name == "space_group":
        return group
    firsts = torch.tensor([first for first, _ in _SYSTEMS])
    return torch.searchsorted(firsts, group, right=True) - 1
