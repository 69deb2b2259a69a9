"""To ask for a class costs next to nothing: what is heavy is imported to compute something."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "lightning", "matgl", "torch_geometric", "chgnet", "scipy", "spglib", "pandas")


def loaded_after(code):
    """Which of the heavy libraries a new interpreter has imported after some code."""
    names = (*HEAVY, "pymatgen.core", "ase")
    report = f"import sys; print(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import ase_crysdiff, pymatgen_ext",
        "from ase_crysdiff import registry; registry.names(registry.PREDICTORS)",
        "from pymatgen_ext import StructurePredictor",
        "from pymatgen_ext import Prototype, Scaffold; Scaffold.parse('225: Na a, Cl b')",
        "from pymatgen_ext import StructureSampler; StructureSampler('miad')",
        "from pymatgen_ext import available_predictors; available_predictors()",
        "from pymatgen_ext import StructurePredictor; StructurePredictor('band-gap')",
        "from ase_crysdiff.models.weights import find, read_card; read_card(find('miad'))",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    assert loaded_after(code) == set()


def test_predicting_pulls_in_no_trainer():
    """Nor a graph library that the predictor does not use."""
    code = """
from ase.build import bulk
from pymatgen_ext import StructurePredictor
StructurePredictor("formation-energy").predict(bulk("NaCl", "rocksalt", 5.64))
"""
    found = loaded_after(code)
    assert "torch" in found
    assert not found & {"lightning", "matgl", "torch_geometric", "chgnet"}
