"""Run with an installed wheel, away from the source tree: does a new user's first minute work?"""

import subprocess
import sys
import tempfile
from pathlib import Path

import ase_crysdiff
import calculators
import pymatgen_ext

site = Path(ase_crysdiff.__file__).parents[1]
for package in (ase_crysdiff, calculators, pymatgen_ext):
    assert Path(package.__file__).parents[1] == site, package.__file__
    assert (Path(package.__file__).parent / "py.typed").is_file(), (
        f"{package.__name__} is not typed"
    )
assert "site-packages" in str(site), site
crysdiff = str(Path(sys.executable).with_name("crysdiff"))
for name in pymatgen_ext.available_samplers():
    pymatgen_ext.StructureSampler(name)  # fails where the wheel lacks what the sampler reads
with tempfile.TemporaryDirectory() as folder:
    subprocess.run(
        [crysdiff, "sample", "miad", "-n", "2", "-o", folder, "--seed", "0", "--steps", "30"],
        check=True,
    )
    assert len(list(Path(folder).glob("*.cif"))) >= 1
    assert (Path(folder) / "crystals.extxyz").is_file()
subprocess.run([crysdiff, "list"], check=True)
subprocess.run([crysdiff, "doctor"], check=True)
sampler = pymatgen_ext.StructureSampler("dao-g-perov5")
drawn = sampler.sample(1, composition="SrTiO3", seed=0, progress=False, redraws=10)
assert drawn[0].composition.reduced_formula == "SrTiO3"
atoms = drawn.to_atoms()[0]
atoms.calc = calculators.DAOPCalculator()
assert atoms.get_forces().shape == (5, 3)
assert pymatgen_ext.relax(drawn[0], progress=False)[0].energy <= atoms.get_potential_energy()
print("The wheel works.")
