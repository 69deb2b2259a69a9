"""One crystal as a CIF in the ways of databases, programs and people."""

from collections.abc import Callable, Sequence

import numpy as np
from other_settings import operators, other_setting, standard
from textbook_crystals import Crystal, setting

Dialect = Callable[[Crystal], str]
_AXES = "xyz"


# What CIF text is made of


def head(crystal: Crystal, share: float = 1.0) -> str:
    z = round(crystal.units * share)
    return f"data_x\n_chemical_formula_sum '{crystal.formula}'\n_cell_formula_units_Z {z}\n"


def symbol(name: str, tag: str = "_symmetry_space_group_name_H-M") -> str:
    return f"{tag} '{name}'\n"


def spaced(name: str) -> str:
    """`R -3 c` of `R-3c`, `P 21/c` of `P2_1/c`."""
    return " ".join([name[0], name[1:].replace("_", "")]) if name[1:] else name


def cell(parameters: Sequence[float], style: str = "{:.5f}") -> str:
    tags = [f"_cell_length_{x}" for x in "abc"]
    tags += [f"_cell_angle_{x}" for x in ("alpha", "beta", "gamma")]
    return "".join(f"{t} {style.format(p)}\n" for t, p in zip(tags, parameters, strict=True))


def listed(ops: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    return "loop_\n_symmetry_equiv_pos_as_xyz\n" + "".join(f"'{_written(*o)}'\n" for o in ops)


def _written(rotation: np.ndarray, shift: np.ndarray) -> str:
    parts = []
    for row, s in zip(rotation, shift, strict=True):
        part = "".join(f"{'-' if c < 0 else '+'}{a}" for c, a in zip(row, _AXES, strict=True) if c)
        fraction = f"+{round(s * 24) % 24}/24" if round(s * 24) % 24 else ""
        parts.append(part.removeprefix("+") + fraction)
    return ",".join(parts)


def sites(
    rows: Sequence[tuple[str, Sequence[float]]],
    style: str = "{:.5f}",
    types: Callable[[str], str] | None = str,
    labels: Callable[[str, int], str] = lambda el, i: f"{el}{i}",
    more: Sequence[tuple[str, str]] = (),
) -> str:
    tags = ["_atom_site_label"] + ["_atom_site_type_symbol"] * (types is not None)
    tags += [f"_atom_site_fract_{a}" for a in _AXES] + [tag for tag, _ in more]
    text = "loop_\n" + "".join(f"{t}\n" for t in tags)
    for i, (el, place) in enumerate(rows, 1):
        words = [labels(el, i)] + ([types(el)] if types is not None else [])
        words += [style.format(x) for x in place] + [value for _, value in more]
        text += " ".join(words) + "\n"
    return text


def everything(crystal: Crystal) -> list[tuple[str, np.ndarray]]:
    """All atoms of the cell."""
    return [(site.specie.symbol, site.frac_coords) for site in crystal.structure]


# The dialects


def complete(c: Crystal) -> str:
    s = standard(c)
    return head(c) + symbol(c.group) + cell(s.cell) + listed(s.operators) + sites(s.sites)


def icsd(c: Crystal) -> str:
    """No operators; marks for origin and axes behind the symbol."""
    choice = setting(c.hall).choice
    mark = {"2": " Z", "H": " H"}.get(choice, "")
    name = symbol(spaced(c.group) + mark, "_space_group_name_H-M_alt")
    number = f"_space_group_IT_number {setting(c.hall).number}\n"
    return head(c) + name + number + cell(c.cell, "{:.3f}(2)") + sites(c.sites, "{:.4f}(3)")


def cod(c: Crystal) -> str:
    """No operators; a Hall symbol, and the symbol with the setting behind a colon."""
    own = setting(c.hall)
    hall = f"_symmetry_space_group_name_Hall '{own.hall_symbol}'\n"
    name = symbol(spaced(c.group) + (f" :{own.choice}" if own.choice in "2H" else ""))
    return head(c) + hall + name + cell(c.cell) + sites(c.sites)


def hall_only(c: Crystal) -> str:
    hall = setting(c.hall).hall_symbol
    return "data_x\n" + symbol(hall, "_space_group_name_Hall") + cell(c.cell) + sites(c.sites)


def symbol_only(c: Crystal) -> str:
    """Neither operators nor formula, the symbol of before 1983, without an origin."""
    old = c.group.replace("-3", "3") if c.cell[0] == c.cell[2] else c.group
    return "data_x\n" + symbol(old.replace("_", "")) + cell(c.cell) + sites(c.sites)


def number_only(c: Crystal) -> str:
    number = f"_symmetry_Int_Tables_number {setting(c.hall).number}\n"
    return head(c) + number + cell(c.cell) + sites(c.sites)


def expanded(c: Crystal) -> str:
    """All atoms in P 1."""
    return (
        head(c)
        + symbol("P 1")
        + cell(c.cell)
        + listed([(np.eye(3), np.zeros(3))])
        + sites(everything(c))
    )


def expanded_with_operators(c: Crystal) -> str:
    s = standard(c)
    return head(c) + symbol(c.group) + cell(s.cell) + listed(s.operators) + sites(everything(c))


def rounded(c: Crystal) -> str:
    """Three digits, with operators."""
    s = standard(c)
    return (
        head(c)
        + symbol(c.group)
        + cell(s.cell, "{:.3f}")
        + listed(s.operators)
        + sites(s.sites, "{:.3f}")
    )


def decorated(c: Crystal) -> str:
    """Oxidation states, unknown occupancies, dotted tags in capitals, text fields, other blocks."""
    charged = lambda el: f"{el}2+" if el in ("Mg", "Ca", "Zn", "Fe") else f"{el}0"  # noqa: E731
    body = cell(c.cell) + sites(c.sites, types=charged, more=[("_atom_site_occupancy", ".")])
    body = body.replace("_cell_", "_CELL.").replace("_atom_site_", "_Atom_Site.")
    field = "_publ_section_comment\n;\ndata_ were collected at 100 K\nloop_ _atom_site_label X\n;\n"
    ops = listed(operators(c.hall)).replace(
        "_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz"
    )
    text = head(c).replace("data_x", "DATA_x") + field + symbol(c.group) + ops + body
    return f"\ufeffdata_global\n_journal_year 2020  # of the journal\n\n{text}"


def labels_only(c: Crystal) -> str:
    """No type symbols, upper-case labels."""
    s = standard(c)
    rows = sites(s.sites, types=None, labels=lambda el, i: f"{el.upper()}{i}")
    return head(c) + symbol(c.group) + cell(s.cell) + listed(s.operators) + rows


def other_setting_with_operators(c: Crystal) -> str:
    """The standard symbol beside the operators of another setting, in which the rest is written."""
    s, _ = other_setting(c)
    return (
        head(c, s.share)
        + symbol(c.group)
        + cell(s.cell)
        + listed(s.operators)
        + sites(s.sites, "{:.6f}")
    )


def other_setting_by_name(c: Crystal) -> str:
    s, name = other_setting(c)
    return head(c, s.share) + symbol(name) + cell(s.cell) + sites(s.sites, "{:.6f}")


def other_setting_unnamed(c: Crystal) -> str:
    """No operators, and a symbol that does not say which setting is meant."""
    s, _ = other_setting(c)
    return head(c, s.share) + symbol(spaced(c.group)) + cell(s.cell) + sites(s.sites, "{:.6f}")


def identity_only(c: Crystal) -> str:
    """The sites of the asymmetric unit, the name of the group, and x, y, z as the only operator."""
    only = listed([(np.eye(3), np.zeros(3))])
    return head(c) + symbol(c.group) + cell(c.cell) + only + sites(c.sites)


def uncentred(c: Crystal) -> str:
    """Operators without the centring translations."""
    unique = {tuple(r.ravel()): (r, t) for r, t in reversed(operators(c.hall))}
    return head(c) + symbol(c.group) + cell(c.cell) + listed(list(unique.values())) + sites(c.sites)


def broken_off(c: Crystal) -> str:
    """The first three operators."""
    return head(c) + symbol(c.group) + cell(c.cell) + listed(operators(c.hall)[:3]) + sites(c.sites)


def foreign_operators(c: Crystal) -> str:
    """The operators of the standard setting beside a cell and sites in another one."""
    s, _ = other_setting(c)
    return (
        head(c, s.share)
        + symbol(c.group)
        + cell(s.cell)
        + listed(operators(c.hall))
        + sites(s.sites, "{:.6f}")
    )


def one_site_missing(c: Crystal) -> str:
    s = standard(c)
    return (
        head(c)
        + symbol(c.group)
        + cell(s.cell)
        + listed(s.operators)
        + sites(s.sites[:-1] or [("Xe", (0, 0, 0))])
    )


#: Everything the reader needs is in the text.
RIGHT: dict[str, Dialect] = {
    f.__name__: f
    for f in (
        complete, icsd, cod, hall_only, expanded, expanded_with_operators, rounded, decorated,
        labels_only, other_setting_with_operators, other_setting_by_name, number_only,
    )
}  # fmt: skip
#: The text leaves something open or contradicts itself: right or refused.
OPEN: dict[str, Dialect] = {
    f.__name__: f
    for f in (
        symbol_only, other_setting_unnamed, identity_only, uncentred, broken_off, foreign_operators,
    )
}  # fmt: skip
#: The text cannot be the crystal.
WRONG: dict[str, Dialect] = {"one_site_missing": one_site_missing}
