"""The tutorials run, and print what their pages show; where crystals are drawn, on the type of
machine that their outputs come from.
"""

import difflib
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs pip install 'ase-crysdiff[docs]'")
pytest.importorskip("nbclient", reason="needs pip install 'ase-crysdiff[docs]'")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs/tutorials").glob("*.ipynb"))
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?i?(?!\w)")


def tool():
    spec = spec_from_file_location("run_notebooks", ROOT / "tools/site/run_notebooks.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(cell):
    """Lines that a cell has printed or answered."""
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell["outputs"]]
    return "".join(texts).splitlines()


def words(line):
    """A line without its numbers, which differ between machines and versions."""
    return re.sub(r"[-\s]+", " ", NUMBER.sub("#", line)).strip()


def differences(shown, made):
    """Lines that differ by more than their numbers."""
    lines = difflib.unified_diff([words(x) for x in shown], [words(x) for x in made], n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def pictures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell["outputs"])


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_prints_what_it_shows(path, monkeypatch):
    if path.stem == "phonons":
        pytest.importorskip("phonopy", reason="needs pip install 'ase-crysdiff[benchmark]'")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shown, made = nbformat.read(path, as_version=4), tool().executed(path)
    found = []
    for number, (old, new) in enumerate(zip(shown.cells, made.cells, strict=True), 1):
        if old.cell_type == "code":
            assert pictures(old) == pictures(new), f"pictures of cell {number}"
            found += [f"cell {number}: {line}" for line in differences(printed(old), printed(new))]
    if made.metadata["processor"] != shown.metadata["processor"]:
        pytest.skip(f"ran; its outputs are those of another processor, {shown.metadata.processor}")
    assert not found, "\n".join([*found, "make notebooks stores what they print now"])


@pytest.mark.slow
def test_first_ten_minutes_print_what_they_show(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/first-ten-minutes.md").read_text()
    names = {}
    told = re.findall(r"```python\n(.*?)```\n```text\n(.*?)```", page, re.DOTALL)
    assert len(told) == page.count("```python")
    for block, shown in told:
        exec(compile(block, "first-ten-minutes.md", "exec"), names)
        assert not differences(shown.splitlines(), capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_complete(path):
    """Every code cell was run in order, without errors; pictures have words."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    for cell in code:
        assert bool(pictures(cell)) == bool(cell.metadata.get("alt")), cell.source
    assert notebook.cells[0].source.startswith("# ")


def test_links_of_notebooks_lead_somewhere():
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            for target in re.findall(r"\]\((?!https?:)([^)#]+)", cell.source):
                if cell.cell_type == "markdown":
                    assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_notebooks_are_small():
    assert len(NOTEBOOKS) >= 7
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 3e6


def test_differences_are_told_but_numbers():
    assert not differences(["a 1.0 eV", "  -0.5 b"], ["a 2 eV", "0.25 b"])
    assert differences(["Pnma -8.4"], ["P1 -8.4"]) == ["-Pnma #", "+P1 #"]
