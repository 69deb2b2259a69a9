"""The names that ASE finds without an import of ours, in fresh interpreters."""

import subprocess
import sys
import textwrap

import pytest
from ase.build import bulk
from ase.io import read, write

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError


def run(code: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_edges_imports_nothing_heavy():
    assert (
        run("""
        import sys
        import ase_crysdiff, calculators, pymatgen_ext
        print([m for m in ("torch", "ase", "pymatgen", "chgnet", "matgl") if m in sys.modules])
    """)
        == "[]"
    )


def test_ase_knows_daop_by_name_without_torch():
    assert (
        run("""
        import sys
        import ase.build
        from ase.calculators.calculator import external_calculators, get_calculator_class, names
        cls = get_calculator_class("daop")
        print(cls.__module__, cls.__name__, names.count("daop"), "torch" in sys.modules)
    """)
        == "ase_crysdiff.ase_calculator.daop DAOPCalculator 1 False"
    )


def test_the_class_is_one_and_registration_is_idempotent():
    assert (
        run("""
        from calculators import DAOPCalculator
        from ase.calculators.calculator import get_calculator_class
        from ase_crysdiff.ase_calculator import register
        register(); register()
        import ase.io
        same = get_calculator_class("daop") is DAOPCalculator
        print(same, DAOPCalculator.name, DAOPCalculator.nolabel)
    """)
        == "True daop True"
    )


def test_ase_lists_the_plugin():
    pytest.importorskip("ase._4.plugins.plugin", reason="ASE before 3.29 has no list of plugins")
    done = subprocess.run(
        [sys.executable, "-m", "ase", "info", "--plugins"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "daop" in done.stdout
    assert "crysdiff-pack" in done.stdout


def test_a_later_ase_without_the_experimental_module_costs_only_the_listing():
    assert run("""
        import sys
        sys.modules["ase._4.plugins.plugin"] = None
        from ase_crysdiff.ase_calculator import catalogue
        print(catalogue.__ase_plugins__)
        import ase.io
        from ase.calculators.calculator import get_calculator_class
        print(get_calculator_class("daop").name)
    """).splitlines() == ["frozenset()", "daop"]


def test_packed_data_are_a_file_format_of_ase(tmp_path):
    crystals = [bulk("NaCl", "rocksalt", a=5.6), bulk("Cu"), bulk("Si")]
    write(tmp_path / "a.safetensors", crystals)
    assert len(PackedCrystals.load(tmp_path / "a.safetensors")) == 3
    found = read(tmp_path / "a.safetensors", ":")
    assert [a.get_chemical_formula() for a in found] == ["ClNa", "Cu", "Si2"]
    for before, after in zip(crystals, found, strict=True):
        assert after.get_volume() == pytest.approx(before.get_volume(), rel=1e-5)
    assert read(tmp_path / "a.safetensors").get_chemical_formula() == "Si2"
    assert len(read(tmp_path / "a.safetensors", "0:2")) == 2
    (tmp_path / "b.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="no packed data set|cannot be read"):
        read(tmp_path / "b.safetensors")
