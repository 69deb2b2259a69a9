"""Code in README and docs runs; links lead somewhere; pyproject and installed metadata agree."""

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_entry_points_are_those_of_pyproject():
    """Entry points are read at installation; an editable install that is older than pyproject fails
    here.
    """
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "ase_crysdiff.samplers"
    ]
    installed = {
        e.name: e.value
        for e in entry_points(group="ase_crysdiff.samplers")
        if e.dist.name == "ase-crysdiff"
    }
    assert installed == declared


def test_modules_stay_short():
    for package in ("ase_crysdiff", "pymatgen_ext", "calculators"):
        for path in (ROOT / package).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path


def test_edges_offer_few_names():
    import pymatgen_ext

    assert len(pymatgen_ext.__all__) <= 12
    for name in pymatgen_ext.__all__:
        assert getattr(pymatgen_ext, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pymatgen_ext.nothing  # noqa: B018
