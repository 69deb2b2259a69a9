"""Formulas as MathML, which browsers draw themselves."""

import html
import re

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns what Arithmatex has found into MathML."""

    def written(found: re.Match[str]) -> str:
        tag, formula = found.groups()
        display = "block" if tag == "div" else "inline"
        return f'<{tag} class="formula">{convert(html.unescape(formula), display=display)}</{tag}>'

    return FORMULA.sub(written, content)
