"""What goes with a release agrees with itself: recipe, bounds, citation, workflow, hooks."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from ase_crysdiff import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Names that conda-forge has for what PyPI calls otherwise.
CONDA = {
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
    "torch-geometric": "pytorch_geometric",
}


def recipe():
    """The recipe with its two variables put in, as plain values."""
    text = (ROOT / "recipe/meta.yaml").read_text()
    known = dict(re.findall(r'{% set (\w+) = "(.*?)" %}', text))
    text = re.sub(r"{%.*?%}", "", text)
    return yaml.safe_load(re.sub(r"{{ (\w+) }}", lambda m: known.get(m[1], m[1]), text))


def test_recipe_asks_for_what_pyproject_asks_for():
    run = {line.split()[0]: line.split()[1] for line in recipe()["requirements"]["run"]}
    assert run.pop("python") == ">=python_min"
    wanted = {}
    for line in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=[\d.]+)", line).groups()
        wanted[CONDA.get(name, name)] = bound
    assert run == wanted


def test_recipe_is_of_this_version_and_complete():
    found = recipe()
    assert found["package"] == {"name": PROJECT["name"], "version": __version__}
    (script,) = found["build"]["entry_points"]
    assert script == f"crysdiff = {PROJECT['scripts']['crysdiff']}"
    assert set(found["test"]["imports"]) == {"ase_crysdiff", "calculators", "pymatgen_ext"}
    assert (ROOT / found["about"]["license_file"]).is_file()
    assert found["about"]["license"] == PROJECT["license"]
    for field in ("package", "source", "build", "requirements", "test", "about"):
        assert found[field]


def test_citation_is_of_this_version():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (found["version"], found["license"]) == (__version__, PROJECT["license"])
    assert found["cff-version"] == "1.2.0"
    assert all(work["authors"] for work in found["references"])


def test_pythons_agree():
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    tried = workflow["jobs"]["suite"]["strategy"]["matrix"]["python"]
    said = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert tried == said
    assert PROJECT["requires-python"] == f">={tried[0]}"
    page = (ROOT / "docs/explanation/versions.md").read_text()
    assert f"Python {tried[0]} to {tried[-1]}" in page


def test_what_the_workflow_calls_exists():
    workflow = (ROOT / ".github/workflows/tests.yml").read_text()
    targets = set(re.findall(r"run: make (\w+)", workflow))
    assert {"check", "compat", "smoke"} <= targets
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_bounds():
    def constraints(versions):
        command = [sys.executable, ROOT / "tools/bounds.py", versions]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        return dict(line.split("==") for line in found.stdout.split())

    assert constraints("newest") == {}
    found = constraints("oldest")
    asked = dict(line.split(">=") for line in PROJECT["dependencies"])
    page = (ROOT / "docs/explanation/versions.md").read_text()
    for name, version in found.items():
        assert version.removesuffix(".*") == asked[name]
        assert f"| {name} | {asked[name]} |" in page
    assert found.keys() == {"ase", "pymatgen", "torch"}


def test_hooks_are_those_of_make_check():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    ids = {hook["id"] for repo in hooks["repos"] for hook in repo["hooks"]}
    assert ids == {"ruff-check", "ruff-format", "lint-imports", "mypy"}
    pinned = re.search(r"^ruff==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert hooks["repos"][0]["rev"] == f"v{pinned[1]}"


@pytest.mark.parametrize("form", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[bw]*.yml")))
def test_forms_of_issues(form):
    found = yaml.safe_load(form.read_text())
    assert found["name"]
    assert found["description"]
    assert all(entry["attributes"]["label"] for entry in found["body"])


@pytest.mark.parametrize("name", ["CODE_OF_CONDUCT", "SECURITY", "CONTRIBUTING"])
def test_links_of_the_pages_at_the_top(name):
    page = ROOT / f"{name}.md"
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (ROOT / target).exists(), f"{name} links to {target}"
    for path in re.findall(r"`(tests/\S+?)`", page.read_text()):
        assert (ROOT / path).exists(), f"{name} names {path}"


def test_files_that_the_commands_name_are_there():
    named = re.findall(r"(?<![\w/])(?:tests|tools)/[\w/.]+", (ROOT / "Makefile").read_text())
    assert len(named) >= 6
    assert [path for path in named if not (ROOT / path).exists()] == []
