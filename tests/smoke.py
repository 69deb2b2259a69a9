"""Run with an installed wheel, away from the source tree: does a new user's first minute work?"""

import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

import ase_crysdiff
import calculators
import pymatgen_ext

site = Path(ase_crysdiff.__file__).parents[1]
for package in (ase_crysdiff, calculators, pymatgen_ext):
    assert Path(package.__file__).parents[1] == site, package.__file__
    assert (Path(package.__file__).parent / "py.typed").is_file(), f"{package.__name__} is not typed"
assert "site-packages" in str(site), site
files = {str(f) for f in distribution("ase-crysdiff").files or ()}
crysdiff = str(Path(sys.executable).with_name("crysdiff"))
for name in pymatgen_ext.available_samplers():
    assert f"ase_crysdiff/weights/{name}/weights.safetensors" in files, f"weights of {name} are not in the wheel"
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([crysdiff, "sample", "miad", "-n", "2", "-o", folder, "--seed", "0", "--steps", "30"], check=True)
    assert len(list(Path(folder).glob("*.cif"))) >= 1
    assert (Path(folder) / "crystals.extxyz").is_file()
subprocess.run([crysdiff, "list"], check=True)
subprocess.run([crysdiff, "doctor"], check=True)
sampler = pymatgen_ext.StructureSampler("dao-g-perov5")
assert sampler.sample(1, composition="SrTiO3", seed=0, progress=False, redraws=10)[0].composition.reduced_formula == "SrTiO3"
print("The wheel works.")
