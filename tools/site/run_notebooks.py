"""Runs the notebooks of the tutorials and stores what they print: `make notebooks`."""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from ase_crysdiff.campaigns.benchmark.machine import processor

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
SETTINGS = "%matplotlib inline\n%config InlineBackend.rc = {'figure.dpi': 80}"


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with new outputs, run in an empty folder.

    Raises:
        CellExecutionError: If a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SETTINGS))
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=600, coalesce_streams=True, resources={"metadata": {"path": folder}}
        )
        client.record_timing = False
        client.execute()
    notebook.cells.pop(0)
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count
            if "image/png" in output.get("data", {}):
                output["data"].pop("text/plain", None)
    # The same seed gives the same crystals on one type of machine only.
    notebook.metadata = {"language_info": {"name": "python"}, "processor": processor()}
    return notebook


if __name__ == "__main__":
    for each in map(Path, sys.argv[1:] or sorted(FOLDER.glob("*.ipynb"))):
        nbformat.write(executed(each), each)
        sys.stdout.write(f"{each.name}: {each.stat().st_size // 1024} kB\n")
