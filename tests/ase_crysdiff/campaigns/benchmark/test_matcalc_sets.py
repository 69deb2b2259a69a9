"""Sets of MatCalc-Bench on metals that EMT knows."""

import importlib.util
import random
import sys

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_crysdiff.campaigns.benchmark.potential import PotentialOptions, potential
from ase_crysdiff.campaigns.benchmark.potentials.base import Contender
from ase_crysdiff.campaigns.benchmark.potentials.equations_of_state import equation_of_state
from ase_crysdiff.campaigns.benchmark.potentials.matcalc_import import matcalc_benchmarks
from ase_crysdiff.campaigns.benchmark.potentials.matcalc_sets import Equilibrium
from ase_crysdiff.campaigns.benchmark.potentials.room import Room
from ase_crysdiff.campaigns.benchmark.potentials.solids import solids
from ase_crysdiff.crystal.convert import atoms_to_structure
from ase_crysdiff.errors import InputError, MissingExtraError
from ase_crysdiff.potentials.energy_corrections import correction
from ase_crysdiff.potentials.from_calculator import CalculatorPotential
from ase_crysdiff.storage import Store
from calculators import PotentialCalculator

NEEDED = "matcalc", "matminer", "phonopy"
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
with_matcalc = pytest.mark.skipif(
    bool(MISSING), reason=f"the extra 'benchmark' is not installed: no {', '.join(MISSING)}"
)
METALS = {"Cu": 3.59, "Al": 3.99, "Na": 4.2}


def metal(symbol):
    return atoms_to_structure(bulk(symbol, a=METALS[symbol]))


def write(path, index, *rows):
    from monty.serialization import dumpfn

    entries = [
        {index: symbol, "formula": symbol, "structure": metal(symbol), **known}
        for symbol, known in rows
    ]
    dumpfn(entries, path)
    return path


def measured(tmp_path, **options):
    (section,) = (name.replace("_", "-") for name in options if name != "seed")
    options = PotentialOptions(
        potentials=(), only=(section,), output=tmp_path / "out.json", **options
    )
    result = potential(options, calculator=PotentialCalculator, others={"emt": EMT()})
    found = result.content["results"][section]
    return {row["name"]: row["values"]["emt"] for row in found["rows"]}, found


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matcalc", None)
    monkeypatch.delitem(sys.modules, "matcalc.benchmark", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'ase-crysdiff\[benchmark\]'"):
        matcalc_benchmarks()


@with_matcalc
@pytest.mark.slow
def test_elastic_moduli(tmp_path):
    """K of copper is that of its equation of state, by code of our own."""
    (solid,) = (solid for solid in solids() if solid.formula == "Cu")
    known = equation_of_state(solid, CalculatorPotential(EMT()))["bulk_modulus"]
    path = write(
        tmp_path / "moduli.json",
        "mp_id",
        ("Cu", {"bulk_modulus_vrh": known, "shear_modulus_vrh": 50.0}),
        ("Na", {"bulk_modulus_vrh": 7.0, "shear_modulus_vrh": 3.0}),
    )
    rows, found = measured(tmp_path, elasticity=path)
    assert rows["crystals"] == 1
    assert set(found["failures"]["emt"]) == {"Na"}
    assert rows["ln K, mean |error|"] < 0.03
    assert 0 < rows["ln G, mean |error|"] < 1
    assert rows["negative G"] == 0
    assert sorted(p.name for p in tmp_path.glob("*.svg")) == [
        "out-elasticity-bulk-modulus.svg",
        "out-elasticity-shear-modulus.svg",
    ]


@with_matcalc
@pytest.mark.slow
def test_heat_capacity(tmp_path, capfd):
    """Of a metal at 300 K a little below the law of Dulong and Petit, 3 R = 24.9 J/mol/K."""
    path = write(tmp_path / "heat.json", "mp_id", ("Cu", {"heat_capacity": 24.943}))
    rows, _ = measured(tmp_path, heat_capacity=path)
    assert 0 < rows["mean |error|"] < 2.5
    assert rows["median |error|"] == rows["mean |error|"]
    assert capfd.readouterr().err == ""


@with_matcalc
@pytest.mark.slow
def test_relaxed_crystals(tmp_path, capfd):
    """An element at rest has the formation energy 0; the same command gives the same numbers."""
    known = {"formation_energy_per_atom": 0.0}
    path = write(tmp_path / "rest.json", "material_id", ("Cu", known), ("Na", known))
    rows, found = measured(tmp_path, equilibrium=path)
    assert rows["crystals"] == 1
    assert set(found["failures"]["emt"]) == {"Na"}
    assert rows["formation energy, mean |error|"] == pytest.approx(0, abs=0.01)
    assert rows["distance of fingerprints, mean"] == pytest.approx(0, abs=0.05)
    again, _ = measured(tmp_path, equilibrium=path)
    assert again == rows
    assert capfd.readouterr().err == ""


@with_matcalc
@pytest.mark.slow
def test_crystals_relax_from_moves_that_the_seed_tells(tmp_path):
    from monty.serialization import dumpfn

    alloy = atoms_to_structure(bulk("CuPd", "zincblende", a=5.4))
    entry = {"material_id": "made", "formula": "CuPd", "structure": alloy}
    path = tmp_path / "alloy.json"
    dumpfn([{**entry, "formation_energy_per_atom": 0.0}], path)

    def errors(seed):
        rows, _ = measured(tmp_path, equilibrium=path, seed=seed)
        return rows["formation energy, mean |error|"]

    assert errors(0) == errors(0)
    assert errors(0) != errors(1)


@with_matcalc
def test_the_state_of_the_hub_and_of_random_numbers_stays(tmp_path):
    import huggingface_hub.constants as hub

    before = hub.HF_HUB_OFFLINE
    path = write(tmp_path / "heat.json", "mp_id", *[(m, {"heat_capacity": 24.0}) for m in METALS])
    common = {"potentials": (), "only": ("heat-capacity",), "output": tmp_path / "out.json"}
    options = PotentialOptions(heat_capacity=path, count=1, **common)
    drawn, chosen = set(), set()
    for _ in range(2):
        room = Room.open(options, PotentialCalculator, {"emt": EMT()})
        (item,) = room.sections[0].items(Store(tmp_path / "made"))
        chosen.add(item.key)
        drawn.add(random.random())
    assert len(chosen) == 1
    assert len(drawn) == 2  # the seed of the choice is not that of what comes after
    assert before == hub.HF_HUB_OFFLINE
    plain = tmp_path / "other.json"
    plain.write_text('[{"mp_id": "x"}]')
    options = PotentialOptions(heat_capacity=plain, **common)
    with pytest.raises(InputError, match=r"other\.json is no file of PhononBenchmark"):
        Room.open(options, PotentialCalculator, {"emt": EMT()})


class Known:
    """In place of matcalc's relaxation: crystals at rest as they come."""

    perturb_distance = 0.1

    def calc(self, structure):
        return {"final_structure": structure, "formation_energy_per_atom": -0.5}


@with_matcalc
@pytest.mark.slow
def test_energies_are_compared_without_the_corrections_of_the_materials_project(
    tmp_path, monkeypatch
):
    from monty.serialization import dumpfn

    oxide = atoms_to_structure(bulk("CuO", "rocksalt", a=4.2))
    entry = {"material_id": "oxide", "formula": "CuO", "structure": oxide}
    dumpfn([{**entry, "formation_energy_per_atom": -0.8}], tmp_path / "oxide.json")
    section = Equilibrium(tmp_path / "oxide.json", None, 0)
    monkeypatch.setattr(section, "_calculation", lambda contender, structure: Known())
    (item,) = section.items(Store(tmp_path / "parts"))

    def energy(is_corrected):
        own = CalculatorPotential(EMT())
        own.is_corrected = is_corrected
        (found,) = section.values(Contender("emt", own, EMT()), [item.given])
        return found["formation_energy_per_atom"]

    assert correction(oxide) < -0.3
    assert energy(False) == -0.5
    assert energy(True) == pytest.approx(-0.5 - correction(oxide))
