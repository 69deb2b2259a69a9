"""Tables of crystals with small drawings, as notebooks show them."""

from collections.abc import Sequence
from html import escape

from pymatgen.core import Structure

from ase_crysdiff.data.table import HEADERS, summarise
from ase_crysdiff.pictures.columns import columns
from ase_crysdiff.pictures.crystals import image
from ase_crysdiff.pictures.typography import formula_html, with_subscripts

#: Rows that are shown.
SHOWN = 24
_SIZE = 84
_TITLES = {name: title for name, title in HEADERS.items() if name != "formula"}


def crystal_table(structures: Sequence[Structure], heading: str, *, limit: int = SHOWN) -> str:
    """An HTML table, a row per crystal: number, drawing, formula and whatever is known of it.

    Only so many rows are computed as are shown, so that large sets show at once.

    Args:
        structures: Ordered crystals.
        heading: What stands above, plain text.
        limit: Rows that are shown; below them stands how many are left out.
    """
    shown = list(structures[:limit])
    more = columns(shown)
    titles = ["", "", "formula", *_TITLES.values(), *more]
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    rows = "".join(
        _row(k, structure, [cells[k] for cells in more.values()])
        for k, structure in enumerate(shown)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if shown else ""
    left = len(structures) - len(shown)
    rest = f"<p>{left:,} more are not shown; to_dataframe() has all.</p>" if left else ""
    return f"<div><p>{escape(heading)}</p>{table}{rest}</div>"


def _row(position: int, structure: Structure, more: Sequence[str]) -> str:
    told = summarise(structure)
    formula = str(told["formula"])
    told["space_group"] = with_subscripts(str(told["space_group"]))
    plain = [escape(str(cell)) for cell in (*(told[name] for name in _TITLES), *more)]
    cells = [str(position), image(structure, f"Drawing of {formula}", _SIZE), formula_html(formula)]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in (*cells, *plain)) + "</tr>"
