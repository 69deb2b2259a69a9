"""The rows of lookup: `prototypes` beside samplers of compositions, random exchange beside those of
new crystals.
"""

import pytest
from benchmark_toys import write_table

from ase_crysdiff.campaigns.benchmark.breakdown import IN_LIBRARY, NOT_IN_LIBRARY, RANKED
from ase_crysdiff.campaigns.benchmark.csp import CspOptions, csp
from ase_crysdiff.campaigns.benchmark.denovo import DenovoOptions, denovo
from ase_crysdiff.campaigns.benchmark.panel import PanelOptions, panel
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.recipes.prototypes import RECIPE
from ase_crysdiff.registry import SAMPLERS, register, unregister
from ase_crysdiff.sampling import loading
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext.evaluation import evaluate
from pymatgen_ext.samplers import StructureSampler

TARGETS = prototypes()


def exchanged(name, **elements):
    structure = TARGETS[name].copy()
    structure.replace_species(elements)
    return structure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A library of rock salts, perovskites and copper, and the packed crystals that it is from."""
    path = tmp_path_factory.mktemp("library")
    salts = [TARGETS["NaCl"], exchanged("NaCl", Na="K"), exchanged("NaCl", Na="K", Cl="Br")]
    others = [TARGETS["SrTiO3"], exchanged("SrTiO3", Sr="Ba"), TARGETS["Cu"]]
    known = salts + others
    scaffolds = PackedScaffolds.of([find_symmetric(s) for s in known])
    packed = PackedCrystals(from_structures(known), scaffolds=scaffolds)
    packed.save(path / "known.safetensors")
    RECIPE.make(path / "known.safetensors", path / "prototypes", "prototypes", {}, {})
    return path


@pytest.fixture
def samplers(folder, monkeypatch):
    """The library in the place of the shipped one."""
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(folder))
    for name, make in (("lookup", loading.prototypes), ("chance", loading.random_exchange)):
        register(SAMPLERS, name, make)
    yield
    for name in ("lookup", "chance"):
        unregister(SAMPLERS, name)


@pytest.fixture
def targets(tmp_path):
    """Two known formulas, one that is new, and one with elements that the library lacks."""
    new = exchanged("SrTiO3", Sr="Ba", Ti="Sr")
    found = [TARGETS["NaCl"], exchanged("NaCl", Cl="Br"), new, TARGETS["MoS2"]]
    return write_table(tmp_path / "targets.csv.gz", found)


def measure(targets, tmp_path, **options):
    options = CspOptions(targets=targets, workers=0, output=tmp_path / "csp.json", **options)
    return csp(options, StructureSampler("lookup", device="cpu")).content


def test_lookup_is_measured_by_rank(samplers, targets, tmp_path):
    content = measure(targets, tmp_path, samples=3)
    assert content["curve_of"] == RANKED
    assert content["evaluations_per_sample"] == 0
    kinds = content["by_prototype"]
    assert {name: row["targets"] for name, row in kinds.items()} == {
        IN_LIBRARY: 3,
        NOT_IN_LIBRARY: 1,
    }
    # The salts at once; the perovskite has its large cation on either place.
    assert kinds[IN_LIBRARY]["curve"]["3"]["match_rate"]["value"] == 1
    assert kinds[NOT_IN_LIBRARY]["curve"]["3"]["match_rate"]["value"] == 0
    assert content["library"]["prototypes"] == 3
    assert "the library has only 1 candidate" in content["rejections"]
    (refusal,) = content["refused_targets"]
    assert "holds no crystal with" in refusal


def test_samples_are_the_candidates_of_each_target_alone(samplers, targets, tmp_path):
    together = measure(targets, tmp_path, samples=3)["least_distances"]
    for i, name in enumerate(("mp-0", "mp-1", "mp-2")):
        table = write_table(tmp_path / f"{i}.csv.gz", [_structure(i)])
        alone = measure(table, tmp_path, samples=3)["least_distances"]
        assert together[i][0] == name
        assert alone[0][1] == pytest.approx(together[i][1], abs=1e-5)


def _structure(i):
    return [
        TARGETS["NaCl"],
        exchanged("NaCl", Cl="Br"),
        exchanged("SrTiO3", Sr="Ba", Ti="Sr"),
    ][i]


@pytest.mark.parametrize("given", ["group", "scaffold"])
def test_lookup_takes_what_is_given(given, samplers, targets, tmp_path):
    content = measure(targets, tmp_path, samples=2, given=given)
    assert content["given"] == given
    assert content["curve"]["2"]["match_rate"]["value"] == 0.75


def test_known_crystals_can_be_left_out(samplers, tmp_path):
    table = write_table(tmp_path / "t.csv.gz", [TARGETS["Cu"], TARGETS["NaCl"]])
    assert measure(table, tmp_path)["curve"]["1"]["match_rate"]["value"] == 1
    content = measure(table, tmp_path, unknown=True, keep=tmp_path / "unknown")
    assert content["known"] is False
    assert dict(content["least_distances"])["mp-0"] is None  # there is no other metal
    assert dict(content["least_distances"])["mp-1"] is not None  # KCl and KBr are left


def test_panel_can_leave_known_crystals_out(samplers, tmp_path):
    def found(**options):
        options = PanelOptions(samples=2, workers=0, output=tmp_path / "p.json", **options)
        forms = panel(options, StructureSampler("lookup", device="cpu")).content["forms"]
        return {f["form"] for f in forms if f["samples_that_are_found"]}

    assert {"NaCl", "SrTiO3", "BaTiO3"} <= found()
    # KCl and KBr have the cell of NaCl here: what is made of them comes out too small.
    assert found(unknown=True) & {"NaCl", "SrTiO3", "BaTiO3"} == {"SrTiO3", "BaTiO3"}


def test_random_exchange_makes_no_new_prototypes(samplers, folder, tmp_path):
    known = folder / "known.safetensors"
    options = DenovoOptions(
        num_samples=12, training=known, validation=known, workers=0, output=tmp_path / "d.json"
    )
    content = denovo(options, StructureSampler("chance", device="cpu"), evaluate).content
    values = {name: r["value"] for name, r in content["results"].items()}
    assert values["prototype_novelty (library)"] == 0
    assert values["symmetry_success_tight (training)"] == values["structural_validity (training)"]
    assert values["novelty (training)"] > 0.8
