"""The benchmark of potentials as a whole: tables, plots, what is asked for, what is refused."""

import csv
import importlib.util
import json
import sys

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_crysdiff.campaigns.benchmark.potential import PotentialOptions, potential
from ase_crysdiff.crystal.convert import atoms_to_structure
from ase_crysdiff.errors import InputError, MissingExtraError, UnknownNameError
from ase_crysdiff.metrics.formation import energies_per_atom
from ase_crysdiff.testing.pair_potential import PairPotential
from calculators import PotentialCalculator

COLUMN = "formation_energy_per_atom"
#: Energies of the elements that the made-up data are referred to, eV/atom.
ELEMENTS = {"Cu": -0.4, "Al": -0.9}


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["material_id", "cif", COLUMN])
        writer.writeheader()
        for name, structure, energy in rows:
            cif = structure if isinstance(structure, str) else structure.to(fmt="cif")
            writer.writerow({"material_id": name, "cif": cif, COLUMN: energy})
    return path


def metal(formula, kind, a):
    return atoms_to_structure(bulk(formula, kind, a=a))


@pytest.fixture(scope="module")
def metals(tmp_path_factory):
    """Copper, aluminium and an alloy at five volumes each, with the formation energies that
    `PairPotential` gives; one entry is no crystal.
    """
    crystals = {
        f"{formula}-{k}": metal(formula, kind, a * (1 + 0.01 * k))
        for formula, kind, a in (
            ("Cu", "fcc", 3.6),
            ("Al", "fcc", 4.05),
            ("CuAl", "cesiumchloride", 3.0),
        )
        for k in range(5)
    }
    energies, _ = energies_per_atom(list(crystals.values()), PairPotential())
    rows = [("broken", "data_nothing", "")]
    for (name, structure), energy in zip(crystals.items(), energies, strict=True):
        fractions = structure.composition.fractional_composition.get_el_amt_dict()
        formed = energy - sum(ELEMENTS[e] * x for e, x in fractions.items())
        rows.append((name, structure, formed))
    return write(tmp_path_factory.mktemp("metals") / "metals.csv", rows)


def figures(result, section):
    """Values by name and potential."""
    rows = result.content["results"][section]["rows"]
    return {row["name"]: row["values"] for row in rows}


def run(output, others, **options):
    options = PotentialOptions(potentials=(), output=output, **options)
    return potential(options, calculator=PotentialCalculator, others=others)


def test_potentials_side_by_side_against_data_and_a_reference(metals, tmp_path):
    result = run(
        tmp_path / "out.json",
        {"pair": PairPotential(), "stiff": PairPotential(stiffness=1.6), "emt": EMT()},
        reference="pair",
        structures=metals,
        rattled=3,
        relaxed=2,
        only=("formation", "forces", "relaxation"),
    )
    assert json.loads((tmp_path / "out.json").read_text()) == result.content
    assert not (tmp_path / "out.parts").exists()
    formation = figures(result, "formation")
    assert formation["crystals"] == {"pair": 15, "stiff": 15, "emt": 15}
    assert formation["mean |error|"]["pair"] == pytest.approx(0, abs=1e-5)
    assert formation["mean |error|"]["stiff"] > 0.001
    constant = formation["mean |error| of a constant, the mean"]
    assert constant["pair"] == constant["emt"] > 0.01
    forces = figures(result, "forces")
    for name in ("forces", "energy", "energy it costs", "stress"):
        for kind in ("rattled", "strained"):
            errors = forces[f"{kind}: {name}, mean |error|"]
            assert errors["pair"] == 0
            by_symmetry = kind == "strained" and name == "forces"  # none on such sites
            assert errors["emt"] > 0 or by_symmetry
    assert forces["rattled: slope of forces, right is 1"]["pair"] == pytest.approx(1)
    assert forces["rattled: slope of forces, right is 1"]["stiff"] > 1.1
    assert forces["rattled: crystals"]["emt"] == 3
    relaxation = figures(result, "relaxation")
    assert relaxation["converged again"]["pair"] == 100
    assert relaxation["back to the same crystal"]["pair"] == 100
    assert "fitted to these crystals" in result.text
    assert "left out: 0 broken" in result.text
    assert list(result.content["results"]["forces"]["unusable"]) == ["0 broken"]
    header = result.text.splitlines()[0].split()
    assert header == ["pair", "stiff", "emt"]
    page = (tmp_path / "out.md").read_text().splitlines()
    assert result.content["table"] == "out.md"
    assert page[:2] == ["|  | pair | stiff | emt |", "| --- | --- | --- | --- |"]
    assert "| **forces, energies, stresses, against pair** |  |  |  |" in page
    assert "| crystals | 15 | 15 | 15 |" in page
    assert "- formation energies: left out: 0 broken" in "\n".join(page)
    assert all(line.replace(r"\|", "").count("|") == 5 for line in page if line.startswith("|"))
    plots = {"out-formation-formation-energy.svg", "out-forces-force.svg"}
    assert set(result.content["plots"]) == plots
    for name in plots:
        text = (tmp_path / name).read_text()
        assert all(potential in text for potential in ("pair", "stiff", "emt"))


def test_candidates_of_a_composition_relax_and_compare_with_themselves(metals, tmp_path):
    result = run(
        tmp_path / "out.json",
        {"pair": PairPotential(), "stiff": PairPotential(stiffness=1.6)},
        reference="pair",
        structures=metals,
        compositions=2,
        only=("polymorphs",),
    )
    found = figures(result, "polymorphs")
    assert found["compositions"] == {"pair": 2, "stiff": 2}
    assert found["relative energy, mean |error|"]["pair"] == 0
    assert found["relative energy of two, mean |error|"]["pair"] == 0
    assert found["relative energy of two, mean |error|"]["stiff"] > 0
    assert found["the lowest is that of the reference"]["pair"] == 100


def test_what_is_kept_is_not_asked_again_and_more_can_follow(metals, tmp_path):
    common = {"structures": metals, "only": ("formation",), "keep": tmp_path / "kept"}
    first = run(tmp_path / "a.json", {"pair": PairPotential()}, limit=8, **common)

    class Silent(PairPotential):
        """Must not be asked."""

        def evaluate(self, configurations):
            raise AssertionError("asked again")

    Silent.__module__, Silent.__qualname__ = PairPotential.__module__, PairPotential.__qualname__
    second = run(tmp_path / "b.json", {"pair": Silent()}, limit=8, **common)
    assert second.content["results"] == first.content["results"]
    third = run(tmp_path / "c.json", {"pair": PairPotential()}, **common)
    assert figures(third, "formation")["crystals"]["pair"] == 15
    with pytest.raises(InputError, match="other settings"):
        run(tmp_path / "d.json", {"pair": EMT()}, **common)


def test_without_words_all_sections_with_their_input_are_measured(tmp_path):
    output = tmp_path / "out.json"
    result = run(output, {"emt": EMT()}, reference="emt", picoseconds=0.02, sizes=(8,))
    extra = ["surfaces", "vacancies"] if importlib.util.find_spec("matcalc") else []
    rest = ["dissociation", "dynamics", "consistency", "speed"]
    assert list(result.content["results"]) == ["solids", *extra, *rest]
    assert figures(result, "dynamics")["solids"]["emt"] == 1
    # EMT knows copper alone of what is measured there, and no silicon.
    assert set(result.content["results"]["consistency"]["failures"]["emt"]) == {"Si", "NaF", "MgO"}
    assert figures(result, "speed")["8 atoms: time"]["emt"] is None
    assert "emt failed on 8" in result.text


class Greedy(PairPotential):
    """Takes 64 MB for each call."""

    def evaluate(self, configurations):
        return super().evaluate(configurations) if np.ones(8_000_000).all() else None


def test_time_and_memory_of_a_call(tmp_path):
    potentials = {"pair": PairPotential(), "greedy": Greedy()}
    options = {"reference": "pair", "only": ("speed",), "sizes": (9,)}
    speed = figures(run(tmp_path / "out.json", potentials, **options), "speed")
    assert speed["8 atoms: times as fast as the reference"]["pair"] == 1
    assert 0 < speed["8 atoms: times as fast as the reference"]["greedy"] < 1
    assert speed["8 atoms: time"]["greedy"] > speed["8 atoms: time"]["pair"] > 0
    memory = speed["8 atoms: memory"]
    if memory["greedy"] is not None:  # Linux
        assert 60 < memory["greedy"] < 100
        assert memory["pair"] < 40


def test_what_an_extra_brings_is_left_out_unless_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matcalc", None)
    options = {"reference": "emt", "picoseconds": 0.02, "sizes": (8,)}
    result = run(tmp_path / "out.json", {"emt": EMT()}, **options)
    assert "surfaces" not in result.content["results"]
    with pytest.raises(MissingExtraError, match=r"pip install 'ase-crysdiff\[benchmark\]'"):
        run(tmp_path / "out.json", {"emt": EMT()}, only=("surfaces",), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ("bands",)}, "There is no section 'bands'"),
        ({"only": ("formation",)}, "needs --structures"),
        ({"only": ("phonons",)}, "needs --structures"),
        ({"phonons": -1}, "phonons must be"),
        ({"only": ("heat-capacity",)}, "needs --heat-capacity"),
        ({"picoseconds": 0.0}, "picoseconds must be"),
        ({"potentials": ("dao-p", "dao-p")}, "dao-p are given twice"),
        ({"count": 0}, "count must be"),
    ],
)
def test_nonsense_is_refused_before_any_work(options, message, tmp_path):
    options = {"potentials": ("dao-p",), "output": tmp_path / "x.json", **options}
    with pytest.raises(InputError, match=message):
        potential(PotentialOptions(**options), calculator=PotentialCalculator)
    assert not list(tmp_path.iterdir())


def test_unknown_names_and_tables_without_energies_are_refused(tmp_path):
    options = PotentialOptions(
        potentials=("no-such-potential",), only=("solids",), output=tmp_path / "x.json"
    )
    with pytest.raises(UnknownNameError, match="no-such-potential"):
        potential(options, calculator=PotentialCalculator)
    path = write(tmp_path / "plain.csv", [("Cu", metal("Cu", "fcc", 3.6), "")])
    with pytest.raises(InputError, match=f"formation needs --structures with numbers.*{COLUMN}"):
        run(tmp_path / "x.json", {"emt": EMT()}, structures=path, only=("formation",))


@pytest.mark.slow
def test_a_shipped_potential_by_name(tmp_path):
    options = PotentialOptions(
        potentials=("dao-p",), only=("consistency",), output=tmp_path / "out.json"
    )
    result = potential(options, calculator=PotentialCalculator)
    assert len(result.content["potentials"]["dao-p"]["weights_sha256"]) == 64
    faults = figures(result, "consistency")
    assert faults["forces against finite differences"]["dao-p"] < 0.02
    assert faults["energy in another cell"]["dao-p"] < 1e-4
    assert np.isfinite(faults["stress against finite differences"]["dao-p"])
