"""How pages are made of templates."""

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ase_crysdiff.pictures.typography import formula_html, number, with_subscripts
from ase_crysdiff.report import tables
from ase_crysdiff.report.labels import interval_of, value_of


def source(name: str) -> Markup:
    """A style sheet or script of this room, to stand inside a page."""
    return Markup(files("ase_crysdiff.report").joinpath(name).read_text(encoding="utf-8"))


def environment() -> Environment:
    """Templates of this room: they escape what they are given, and refuse what they are not."""
    found = Environment(
        loader=PackageLoader("ase_crysdiff.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "number": number,
        "value_of": value_of,
        "interval_of": interval_of,
        "subscripts": with_subscripts,
        "plain": tables.plain,
        "formula": lambda formula: Markup(formula_html(formula)),
    }
    found.globals["share"] = tables.share
    return found
