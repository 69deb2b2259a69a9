"""The documentation site builds without a warning, needs no network, and everybody can read it."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("material", reason="needs pip install 'ase-crysdiff[docs]'")

ROOT = Path(__file__).parents[2]
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Reader(HTMLParser):
    """What a page refers to and how it is built."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.ids, self.headings = [], [], set(), []
        self.pictures, self.open = [], Counter()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in ("script", "img", "iframe") and "src" in given:
            self.loaded.append(given["src"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preconnect"):
            self.loaded.append(given["href"])
        if tag == "img":
            self.pictures.append(given.get("alt"))
        if re.fullmatch("h[1-6]", tag) and self.open["article"]:
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open[tag] += 1

    def handle_endtag(self, tag):
        self.open[tag] -= 1


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Reader(path.read_text()) for path in sorted(site.rglob("*.html"))}


pytestmark = pytest.mark.slow


def test_every_page_is_built(site):
    sources = [p for p in (ROOT / "docs").rglob("*") if p.suffix in (".md", ".ipynb")]
    assert len(sources) > 50
    for source in sources:
        assert (site / source.relative_to(ROOT / "docs")).with_suffix(".html").is_file()


def test_nothing_is_loaded_from_elsewhere(pages):
    for path, page in pages.items():
        assert not [url for url in page.loaded if urlsplit(url).netloc], path.name


def test_links_within_the_site_lead_somewhere(site, pages):
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.relative_to(site)} links to {link}"
            if parts.fragment and target in pages:
                names = pages[target].ids
                assert unquote(parts.fragment) in names, f"{path.relative_to(site)}: {link}"


def test_headings_and_pictures_can_be_read_aloud(site, pages):
    for path, page in pages.items():
        name = path.relative_to(site)
        assert all(page.pictures), f"{name} has a picture without words"
        assert page.headings[:1] == [1] or path.name == "404.html", f"{name} begins without a title"
        assert page.headings.count(1) <= 1, f"{name} has two titles"
        steps = zip(page.headings, page.headings[1:], strict=False)
        assert all(after <= before + 1 for before, after in steps), f"{name}: {page.headings}"


def test_lists_and_tables_are_none_of_a_paragraph(site):
    """Code hosts begin them after any line, the site after an empty one only."""
    for path in sorted(site.rglob("*.html")):
        article = path.read_text().partition("<article")[2].partition("</article>")[0]
        words = re.sub(r"<(pre|table).*?</\1>", "", article, flags=re.DOTALL)
        for paragraph in re.findall(r"<p>(.*?)</p>", words, re.DOTALL):
            assert not re.search(r"\n *([-*]|\d\.) |^\|.*\|$", paragraph, re.MULTILINE), paragraph


def test_formulas_and_charts_need_no_scripts(site):
    methods = (site / "explanation/methods.html").read_text()
    assert methods.count("<math") > 30
    assert "arithmatex" not in methods
    assert 'class="chart"' in (site / "explanation/architecture.html").read_text()
    assert "mermaid" not in (site / "explanation/architecture.html").read_text()


def test_search_finds_pages_names_and_options(site):
    index = json.loads((site / "search/search_index.json").read_text())
    assert (site / "search/search_index.js").is_file()  # for pages that are opened from a folder
    found = " ".join(entry["title"] + entry["text"] for entry in index["docs"])
    for word in ("StructureSampler", "--chemical-system", "Wyckoff", "FrechetCellFilter", "LiCoO"):
        assert word in found


def test_public_names_have_an_entry(pages, site):
    import calculators
    import pymatgen_ext

    entries = set().union(*(page.ids for page in pages.values()))
    for package in (pymatgen_ext, calculators):
        for name in package.__all__:
            assert f"{package.__name__}.{name}" in entries, name


def test_every_command_has_an_entry(site):
    from ase_crysdiff.cli.main import COMMANDS

    page = Reader((site / "reference/command-line.html").read_text())
    assert set(COMMANDS) <= page.ids


@pytest.mark.parametrize("scheme", ["default", "slate"])
def test_colours_have_contrast(scheme):
    """4.5 to 1 between letters and what is behind them, as WCAG 2.1 asks for small text."""
    style = (ROOT / "docs/assets/site.css").read_text()
    (block,) = re.findall(rf'\[data-md-color-scheme="{scheme}"\] {{(.*?)}}', style, re.DOTALL)
    colours = dict(re.findall(r"--md-([\w-]+): (#\w+);", block))
    page = {"default": "#ffffff", "slate": "#1e2129"}[scheme]
    assert _contrast(colours["primary-fg-color"], colours["primary-bg-color"]) > 4.5
    assert _contrast(colours["typeset-a-color"], page) > 4.5
    assert _contrast(colours["accent-fg-color"], page) > 4.5


def _contrast(first, second):
    def light(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((light(first), light(second)))
    return (bright + 0.05) / (dark + 0.05)


def test_charts_that_are_no_chain_are_refused():
    from mkdocs.exceptions import PluginError

    spec = spec_from_file_location("diagrams", ROOT / "tools/site/diagrams.py")
    diagrams = module_from_spec(spec)
    spec.loader.exec_module(diagrams)
    chain = 'flowchart TB\na["one"] --> b["two"]'
    assert diagrams.drawn(chain, "page").count("<li>") == 2
    with pytest.raises(PluginError, match="no chain"):
        diagrams.drawn(chain + '\nc["three"]', "page")
    with pytest.raises(PluginError, match="not understood"):
        diagrams.drawn("flowchart LR", "page")
