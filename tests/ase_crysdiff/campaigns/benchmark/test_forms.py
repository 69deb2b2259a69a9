"""Benchmarks of forms: textbook crystals, polymorphs, and draws with and without guidance."""

from collections import Counter
from dataclasses import replace

import pytest
from benchmark_toys import Oracle, write_table
from pymatgen.core import Composition
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from ase_crysdiff.campaigns.benchmark.guidance import (
    GuidanceOptions,
    compare,
    guided_and_unguided,
    paired,
)
from ase_crysdiff.campaigns.benchmark.panel import PanelOptions, judge, panel
from ase_crysdiff.campaigns.benchmark.polymorphs import PolymorphsOptions, polymorphs
from ase_crysdiff.campaigns.benchmark.targets import read_targets
from ase_crysdiff.campaigns.benchmark.textbook import PANEL
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.registry import POTENTIALS, SAMPLERS, register, unregister
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext.guidance import EnergyGuidance
from pymatgen_ext.samplers import StructureSampler

FORMS = {form.name: form for form in PANEL}


@pytest.fixture
def oracle():
    """Registers a sampler that gives one structure for every content of a cell; removed
    afterwards.
    """

    def teach(structures):
        crystals = {}
        for s in structures:
            content = tuple(sorted(Counter(site.specie.Z for site in s).items()))
            crystals.setdefault(content, from_structures([s]))
        register(SAMPLERS, "oracle", lambda weights, device: Oracle(crystals))

    yield teach
    unregister(SAMPLERS, "oracle")


# Textbook crystals


@pytest.mark.parametrize("form", PANEL, ids=lambda f: f.name)
def test_textbook_crystals_have_their_space_group_and_sound_bonds(form):
    structure = form.structure
    assert SpacegroupAnalyzer(structure, symprec=0.01).get_space_group_symbol() == form.group
    assert structure.composition.reduced_composition == Composition(form.name.split()[0])
    distances = [n.nn_distance for site in structure for n in structure.get_neighbors(site, 3.7)]
    assert min(distances) > 1.7


# g/cm³, CRC Handbook of Chemistry and Physics
DENSITIES = {
    "NaCl": 2.17,
    "MgO": 3.6,
    "CsCl": 3.99,
    "ZnS zinc blende": 4.04,
    "ZnS wurtzite": 4.09,
    "CaF2": 3.18,
    "TiO2 rutile": 4.23,
    "TiO2 anatase": 3.9,
    "SrTiO3": 5.1,
    "Al2O3": 3.99,
    "MgB2": 2.57,
    "NiAs": 7.77,
    "MgAl2O4": 3.55,
    "GaN": 6.1,
    "FeS2 pyrite": 5.02,
    "Fe2O3": 5.25,
    "BaTiO3": 6.02,
    "Si": 2.33,
}


def test_textbook_crystals_have_the_measured_densities():
    for name, density in DENSITIES.items():
        assert FORMS[name].structure.density == pytest.approx(density, rel=0.025), name


def test_panel_tells_found_from_lost_and_seen_from_unseen(oracle, tmp_path):
    """The sampler knows all but silicon; its titanium dioxide is much too large, which the matcher
    alone would not see.
    """
    known = [f.structure for f in PANEL if f.name != "Si"]
    known = [s.copy() for s in known]
    for s in known:
        if s.composition.reduced_formula == "TiO2":
            s.scale_lattice(1.5 * s.volume)
    silicon = FORMS["NaCl"].structure
    silicon.replace_species({"Na": "Si", "Cl": "Si"})
    oracle([*known, silicon])
    training = tmp_path / "training.safetensors"
    PackedCrystals(
        from_structures([FORMS["NaCl"].structure * (1, 1, 2), FORMS["Si"].structure])
    ).save(training)
    options = PanelOptions(training=training, samples=1, output=tmp_path / "panel.json")
    result = panel(options, StructureSampler("oracle", device="cpu"))
    content = result.content
    forms = {f["form"]: f for f in content["forms"]}
    assert len(forms) == 22
    lost = {name for name, f in forms.items() if not f["samples_that_are_found"]}
    # Rutile and anatase have one content of the cell: the sampler knows rutile only, at half the
    # density.
    assert lost == {"Si", "TiO2 rutile", "TiO2 anatase"}
    assert forms["TiO2 rutile"]["samples_that_match"] == 1
    assert forms["TiO2 rutile"]["least_volume_error"] == pytest.approx(0.5, abs=1e-3)
    assert {name for name, f in forms.items() if f["seen_in_training"]} == {"NaCl", "Si"}
    assert content["results"] == {
        "all": {"forms": 22, "found": 19},
        "seen": {"forms": 2, "found": 1},
        "unseen": {"forms": 20, "found": 18},
    }
    assert "unseen: 18 of 20 forms found" in result.text


def test_judging_needs_a_sound_structure_of_the_composition():
    salt = FORMS["NaCl"].structure
    assert judge((salt, salt)) == pytest.approx(0, abs=1e-9)
    assert judge((None, salt)) is None
    assert judge((FORMS["MgO"].structure, salt)) is None
    assert judge((FORMS["CsCl"].structure, FORMS["CsCl"].structure * (2, 1, 1))) == pytest.approx(
        0, abs=1e-9
    )


# Polymorphs


def test_polymorphs_found_by_cells_of_their_sizes(oracle, tmp_path):
    """Two forms of ZnS with other cells, both known; two of TiO2 with the same content, of which
    the sampler gives one.
    """
    names = ["ZnS zinc blende", "ZnS wurtzite", "TiO2 rutile", "TiO2 anatase", "Si"]
    structures = [FORMS[n].structure for n in names]
    table = write_table(tmp_path / "forms.csv.gz", [*structures, structures[2] * (1, 1, 2)])
    oracle(list(read_targets(table, None, progress=False).structures))
    options = PolymorphsOptions(
        targets=(table,), samples=3, output=tmp_path / "p.json", keep=tmp_path / "kept"
    )
    sampler = StructureSampler("oracle", device="cpu")
    result = polymorphs(options, sampler)
    content = result.content
    lines = {line["formula"]: line for line in content["compositions"]}
    assert lines["TiO2"]["forms"] == ["mp-2", "mp-3"]
    assert sum(lines["TiO2"]["samples"]) == 3
    assert 0 in lines["TiO2"]["samples"]
    assert lines["ZnS"]["samples"] == [2, 1]
    assert content["results"]["full_coverage"]["value"] == 0.5
    assert content["results"]["mean_coverage"]["value"] == 0.75
    assert "full_coverage (2 forms)" in result.text
    draws = (tmp_path / "kept" / "draws.jsonl").read_bytes()
    again = polymorphs(options, sampler)  # goes on from what is there: nothing is left to do
    assert (tmp_path / "kept" / "draws.jsonl").read_bytes() == draws
    assert again.content["results"] == content["results"]


def test_no_polymorphs_is_an_error(oracle, tmp_path):
    table = write_table(tmp_path / "t.csv.gz", list(prototypes().values()))
    oracle([])
    options = PolymorphsOptions(targets=(table,), output=tmp_path / "p.json")
    with pytest.raises(InputError, match="No composition of these files has 2 or 3 or 4 forms"):
        polymorphs(options, StructureSampler("oracle"))


# Guidance


def test_pairs_are_compared_and_failures_counted():
    nan = float("nan")
    found = compare([0.1, 0.3, nan, 0.05], [0.05, 0.3, 0.2, nan], 2)
    assert found["pairs_with_energies"] == 2
    assert found["without_energy"] == {"unguided": 1, "guided": 1}
    assert found["mean_above_hull"]["difference"]["value"] == pytest.approx(-0.025)
    assert found["stable_share"]["unguided"] == found["stable_share"]["guided"] == 0.25
    assert paired([1, 2, 3, 4], [2, 3, 4, 5], 2).interval == (1, 1)
    assert compare([nan], [nan], 1)["mean_above_hull"]["unguided"] is None


def test_guided_and_unguided_draws_share_their_noise(toy_csp, tmp_path):
    """Guidance of scale 0 changes nothing: the two runs are the same to the last digit."""
    register(POTENTIALS, "pairs", lambda weights=None, device="cpu", dtype=None: PairPotential())
    table = write_table(tmp_path / "t.csv.gz", [prototypes()[n] for n in ("NaCl", "SrTiO3")])
    hull = tmp_path / "hull.csv"
    hull.write_text(
        "reduced_formula,hull_energy_per_atom\nNaCl,-2\nSrTiO3,-3\n"
        + "".join(f"{e},0\n" for e in ("Na", "Cl", "Sr", "Ti", "O"))
    )
    options = GuidanceOptions(
        targets=table,
        hull=hull,
        guide="pairs",
        judge="dao-p",
        samples=3,
        relax_steps=2,
        scale=0.0,
        output=tmp_path / "guidance.json",
    )
    sampler = StructureSampler("dao-g-perov5", str(toy_csp), "cpu")
    try:
        zero = guided_and_unguided(options, sampler, EnergyGuidance).content["results"]
        assert zero["match_rate"]["difference"]["value"] == 0
        for kind in ("single_point", "relaxed"):
            assert zero[kind]["mean_above_hull"]["difference"]["value"] in (0, None)
            lost = zero[kind]["without_energy"]
            assert lost["guided"] == lost["unguided"] < 6
        result = guided_and_unguided(replace(options, scale=5.0), sampler, EnergyGuidance)
        five = result.content["results"]
        assert five["single_point"]["mean_above_hull"]["difference"]["value"] != 0
        assert "single_point: stable" in result.text
        assert not (tmp_path / "guidance.parts").exists()
        with pytest.raises(InputError, match="cannot judge what it has guided"):
            guided_and_unguided(replace(options, judge="pairs"), sampler, EnergyGuidance)
    finally:
        unregister(POTENTIALS, "pairs")
