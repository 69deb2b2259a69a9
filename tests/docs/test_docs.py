"""Code in README and docs runs; links lead somewhere; pyproject and installed metadata agree."""

import argparse
import re
import shlex
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name

import pytest

from ase_crysdiff import registry
from ase_crysdiff.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


RUN = [p for p in PAGES if blocks(p) and p.name != "first-ten-minutes.md"]  # see test_notebooks


@pytest.fixture
def names_are_returned():
    """Takes back what a page has registered."""
    before = {group: set(registry.names(group)) for group in registry.GROUPS}
    yield
    for group, known in before.items():
        for name in set(registry.names(group)) - known:
            registry.unregister(group, name)


@pytest.mark.slow
@pytest.mark.usefixtures("names_are_returned")
@pytest.mark.parametrize("page", RUN, ids=lambda p: p.name)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def cells(row):
    """Number of cells of a row of a table; a bar within code or behind a backslash is text."""
    return len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row.strip()))) - 1


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_rows_of_tables_are_as_long_as_their_heads(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for table in re.findall(r"(?:^\|.*\|[ ]*$\n?)+", text, re.MULTILINE):
        head, *rows = table.splitlines()
        for row in rows:
            assert cells(row) == cells(head), f"{page.name}: {row[:80]}"


@pytest.mark.parametrize(
    "group", tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
)
def test_entry_points_are_those_of_pyproject(group):
    """Entry points are read at installation; an editable install that is older than pyproject fails
    here.
    """
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    installed = {
        e.name: e.value for e in entry_points(group=group) if e.dist.name == "ase-crysdiff"
    }
    assert installed == declared[group]


def test_the_picture_of_the_rooms_is_the_contract():
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    picture = page.split("```mermaid")[1].split("```")[0]
    shown = re.findall(r"\bl(\d+)\[\"(.*?)\"\]", picture)
    drawn = [rooms for _, rooms in sorted(shown, key=lambda node: int(node[0]))]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [c["layers"] for c in contracts["contracts"] if c["type"] == "layers"]
    assert drawn == layers
    for above, below in pairwise(range(1, len(layers) + 1)):
        arrow = rf"\bl{above}(\[.*?\])? --> l{below}\b"
        assert re.search(arrow, picture), f"no arrow from {above} to {below}"
    rooms = {room for layer in layers for room in layer.split(" | ")}
    told = set(re.findall(r"`(\w+)`", page.split("## The types")[0]))
    ground = {"arguments", "devices", "shapes", "constants", "environment", "errors", "randomness"}
    assert rooms - told <= ground


def test_the_docstrings_to_learn_from_are_there():
    listed = re.findall(
        r"`(ase_crysdiff/\S+)\.py`, ([^|;]*)", (ROOT / "CONTRIBUTING.md").read_text()
    )
    assert len(listed) == 11
    for path, places in listed:
        module = import_module(path.replace("/", "."))
        for name in re.findall(r"`(.+?)`", places):
            assert len(attrgetter(name)(module).__doc__) > 60, f"{path}: {name}"


def test_the_page_shows_the_example_package():
    package = ROOT / "examples/crysdiff-random-cells"
    shown = (ROOT / "docs/how-to/add-a-sampler.md").read_text()
    assert (package / "crysdiff_random_cells/__init__.py").read_text() in shown
    entry = tomllib.loads((package / "pyproject.toml").read_text())["project"]["entry-points"]
    assert 'random-cells = "crysdiff_random_cells:make"' in shown
    assert entry["ase_crysdiff.samplers"] == {"random-cells": "crysdiff_random_cells:make"}


def test_modules_stay_short():
    for package in ("ase_crysdiff", "pymatgen_ext", "calculators"):
        for path in (ROOT / package).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_names_and_files_exist(page):
    """Modules, what is in them, and scripts that a page names."""
    text = page.read_text()
    for name in re.findall(
        r"(?<![\w.])((?:ase_crysdiff|pymatgen_ext|calculators)(?:\.\w+)+)", text
    ):
        is_module = (ROOT / name.replace(".", "/")).with_suffix(".py").is_file()
        if name not in registry.GROUPS and not is_module:
            assert resolve_name(name) is not None
    for script in re.findall(r"\b((?:benchmarks|experiments|tools|examples)/[\w/-]+\.py)", text):
        assert (ROOT / script).is_file(), f"{page.name} names {script}"


def commands(page):
    """Commands in code blocks without a language, as lists of words."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    for block in [text for language, text in fences if language in ("", "sh")]:
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.partition(" > ")[0], comments=True)
            if "crysdiff" in words[:2]:
                yield words[words.index("crysdiff") + 1 :]


@pytest.mark.parametrize("page", [p for p in PAGES if any(commands(p))], ids=lambda p: p.name)
def test_commands_are_understood(page):
    """Every option that is shown exists; what a command does is tested elsewhere."""
    for name, *words in commands(page):
        parser = argparse.ArgumentParser(f"{page.name}: crysdiff {name}", allow_abbrev=False)
        import_module(f"ase_crysdiff.cli.{name.replace('-', '_')}").configure(parser)
        parser.parse_args(words)


def test_readme_lists_every_command():
    (listed,) = re.findall(r"`crysdiff (list \|.*?)`", (ROOT / "README.md").read_text())
    assert {*listed.split(" | "), "sample"} == set(COMMANDS)


def test_edges_offer_few_names():
    import pymatgen_ext

    assert len(pymatgen_ext.__all__) <= 20
    for name in pymatgen_ext.__all__:
        assert getattr(pymatgen_ext, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pymatgen_ext.nothing  # noqa: B018


@pytest.mark.parametrize("room", ["how-to", "explanation"])
def test_every_page_stands_in_the_index_of_its_room(room):
    folder = ROOT / "docs" / room
    index = (folder / "index.md").read_text()
    for page in folder.glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index, page.name
