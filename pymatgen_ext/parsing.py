"""What users write, checked and turned into numbers."""

import numbers
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ase import Atoms
from pymatgen.core import Composition, Element, Structure

from ase_crysdiff import arguments
from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.convert import atoms_to_structure
from ase_crysdiff.crystal.properties import Wish, is_number, is_window
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.request import PrototypeWish
from ase_crysdiff.symmetry.finding import find_scaffold
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import group_number
from pymatgen_ext.formulas import read_formula, whole_multiple

Formula: TypeAlias = str | Mapping[str, float] | Composition
#: A prototype as users give it: a structure, a scaffold or a text; False forbids any.
PrototypeLike: TypeAlias = Structure | Atoms | Scaffold | Prototype | str | bool | None
#: What users wish of a property: a number, a window of two, a name, elements.
WishLike: TypeAlias = float | tuple[float, float] | str | Iterable[str]


def element(symbol: Any) -> int:
    """Atomic number of a symbol or `Element`.

    Raises:
        InputError: If there is no such element, or no model can know it.
    """
    text = str(symbol).strip()
    if not Element.is_valid_symbol(text):
        raise InputError(f"{symbol!r} is no chemical element. Write symbols such as 'Li' or 'O'.")
    number = int(Element(text).Z)
    if number >= NUM_SPECIES:
        raise InputError(
            f"{text} (Z = {number}) is beyond the heaviest known element of the models, Es (99)."
        )
    return number


def elements(name: str, value: str | Iterable[Any]) -> frozenset[int]:
    """Atomic numbers of `"Li-Mn-O"`, `"Li, Mn"` or of a collection of symbols."""
    parts = [p for p in re.split(r"[-,\s]+", value) if p] if isinstance(value, str) else list(value)
    found = frozenset(element(p) for p in parts)
    if not found:
        raise InputError(f"{name} names no element. Write, for example, {name}='Li-Mn-O'.")
    if len(found) < len(parts):
        raise InputError(f"{name}={value!r} names an element twice.")
    return found


def composition(value: Formula) -> tuple[tuple[int, int], ...]:
    """Atomic numbers and counts of one formula unit, exactly as written.

    Raises:
        InputError: If it cannot be read, carries a charge, or if an amount is not a whole number.
    """
    parsed = _composition(value)
    amounts = parsed.element_composition.get_el_amt_dict()
    charge = sum(
        (getattr(species, "oxi_state", None) or 0) * amount for species, amount in parsed.items()
    )
    if abs(charge) > 1e-8:
        raise InputError(
            f"{value!r} carries a charge of {charge:+g}; a crystal has none. Leave the oxidation "
            "states out, or add what "
            "balances them."
        )
    counts = []
    for symbol, amount in amounts.items():
        if abs(amount - round(amount)) > 1e-8 or round(amount) < 1:
            whole = whole_multiple(parsed.element_composition)
            raise InputError(
                f"{value!r} has {amount:g} {symbol} per formula unit; amounts must be whole "
                f"numbers. {f'Write {whole}.' if whole else 'Multiply the formula until they are.'}"
            )
        counts.append((element(symbol), round(amount)))
    if not counts:
        raise InputError(f"{value!r} is an empty composition.")
    return tuple(counts)


def _composition(value: Formula) -> Composition:
    """What pymatgen makes of a formula, a mapping or a composition.

    Raises:
        InputError: If it cannot be read, or an amount is zero.
    """
    if isinstance(value, str):
        return read_formula(value)
    try:
        parsed = Composition(value)
    except Exception as error:
        raise InputError(
            f"{value!r} cannot be read as a composition ({error}). Write, for example, "
            "{'Sr': 1, 'Ti': 1, 'O': 3}."
        ) from error
    zero = [str(symbol) for symbol, amount in value.items() if amount == 0]
    if zero:
        raise InputError(f"{value!r} has an amount of zero ({', '.join(zero)}). Leave it out.")
    return parsed


def isotope_note(
    composition: Formula | None = None, *symbols: str | Iterable[Any] | None
) -> tuple[str, ...]:
    """What a report says where deuterium or tritium is asked for.

    Args:
        composition: One formula unit, or nothing.
        symbols: Elements, as `elements` takes them.
    """
    text = composition if isinstance(composition, str) else " ".join(map(str, composition or ()))
    named = set(re.findall(r"[DT](?![a-z])", text))
    for value in symbols:
        words = re.split(r"[-,\s]+", value) if isinstance(value, str) else list(value or ())
        named |= {str(word) for word in words}
    found = sorted(named & {"D", "T"})
    if not found:
        return ()
    return (f"{' and '.join(found)} drawn as H: the models know elements, not isotopes",)


def formula_units(value: int | Iterable[int] | str) -> tuple[int, ...] | None:
    """Formula units per cell to choose from; None for "auto"."""
    if isinstance(value, str):
        if value == "auto":
            return None
        raise InputError(
            f"formula_units must be a number, several numbers or 'auto', got {value!r}."
        )
    several = [value] if isinstance(value, numbers.Number) else list(value)  # type: ignore[arg-type]
    if not several:
        raise InputError("formula_units is empty. Give a number, several numbers or 'auto'.")
    return tuple(sorted({arguments.positive("formula_units", z) for z in several}))


def space_group(value: int | str | None) -> int | None:
    """Number of a space group given by its number or its short symbol; None for no wish.

    Raises:
        InputError: If there is no such group.
    """
    if value is None or isinstance(value, str):
        return None if value is None else group_number(value)
    return group_number(arguments.positive("space_group", value))


def prototype(value: PrototypeLike) -> PrototypeWish:
    """A prototype, or the scaffold of a structure.

    Args:
        value: A structure, in which the scaffold is found within 0.1 Å; a `Scaffold` or a
            `Prototype`; a text such as "Fm-3m a|b|c" or "P4_2/mnm: Ti a, O f"; False for none at
            all; None for no wish.

    Raises:
        InputError: If it is nothing of the kind or makes no sense.
    """
    if value is None or value is False or isinstance(value, Scaffold | Prototype):
        return value
    if isinstance(value, Atoms):
        value = atoms_to_structure(value)
    if isinstance(value, Structure):
        return find_scaffold(value)
    if isinstance(value, str):
        return Scaffold.parse(value) if ":" in value else Prototype.parse(value)
    raise InputError(
        "prototype must be a structure, a Scaffold, a Prototype, a text such as 'Fm-3m a|b|c', "
        f"False or None, got {value if isinstance(value, bool) else type(value).__name__}."
    )


def properties(value: Any) -> dict[str, Wish]:
    """What is wished of properties, by name.

    A space group may be a number or a short symbol, a chemical system a text such as "Li-O".

    Raises:
        InputError: If it is no mapping of names to numbers, windows of two numbers, or names.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InputError(
            "properties maps names to numbers or windows, such as {'band_gap': (1.5, 2.5)}; got "
            f"{value!r}."
        )
    return {name: _wish(name, wished) for name, wished in value.items()}


def _wish(name: str, value: Any) -> Wish:
    """What is wished of one property."""
    if name == "space_group":
        return str(space_group(value))
    if name == "chemical_system":
        return elements(name, value)
    if isinstance(value, str):
        return value
    if is_number(value):
        return float(value)
    if is_window(value):
        return float(value[0]), float(value[1])
    raise InputError(
        f"The wished {name} must be a finite number, or a window of two, the smaller one first, "
        f"such as (1.5, 2.5); got {value!r}."
    )
