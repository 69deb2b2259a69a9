"""What samplers are told of targets, ranked candidates, and the numbers by kind of target."""

import json

import pytest
from benchmark_toys import Oracle, Ranker, contents_of, write_table

from ase_crysdiff.campaigns.benchmark.breakdown import (
    DRAWN,
    IN_LIBRARY,
    NOT_IN_LIBRARY,
    RANKED,
    free_row,
)
from ase_crysdiff.campaigns.benchmark.csp import CspOptions, csp
from ase_crysdiff.campaigns.benchmark.polymorphs import PolymorphsOptions, polymorphs
from ase_crysdiff.campaigns.benchmark.predictions import is_ranked
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.errors import IncompatibleError, InputError, SamplingError
from ase_crysdiff.registry import SAMPLERS, register, unregister
from ase_crysdiff.symmetry.finding import find_scaffold
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext.samplers import StructureSampler

#: 1 to 6 atoms; free coordinates 0, 0, 0, 1 and 15; all cells are primitive.
TARGETS = prototypes()


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("t") / "targets.csv.gz", list(TARGETS.values()))


def stretched(structure):
    """A bad guess: the cell at more than twice its height."""
    lattice = structure.lattice
    tall = type(lattice).from_parameters(*lattice.abc[:2], lattice.c * 2.2, *lattice.angles)
    return type(structure)(tall, structure.species, structure.frac_coords)


@pytest.fixture
def ranker():
    """All are right at once, but SrTiO3 at the second rank, and MoS2 never."""
    rows = {contents_of(s): [s] for s in TARGETS.values()}
    perovskite, layers = TARGETS["SrTiO3"], TARGETS["MoS2"]
    rows[contents_of(perovskite)] = [stretched(perovskite), perovskite]
    rows[contents_of(layers)] = [stretched(layers)]
    toy = Ranker(rows)
    register(SAMPLERS, "ranker", lambda weights, device: toy)
    yield toy
    unregister(SAMPLERS, "ranker")


def measure(targets, folder, **options):
    options = CspOptions(targets=targets, output=folder / "csp.json", workers=0, **options)
    return csp(options, StructureSampler("ranker"))


# Ranks


def test_ranked_candidates_are_counted_by_rank(ranker, targets, tmp_path):
    result = measure(targets, tmp_path, samples=6)
    content = result.content
    assert content["curve_of"] == RANKED
    assert content["given"] == "composition"
    rates = {n: among["match_rate"]["value"] for n, among in content["curve"].items()}
    assert rates == {"1": 0.6, "5": 0.8, "6": 0.8}
    assert content["curve"]["5"]["volume_error"] == pytest.approx(0, abs=1e-4)
    assert content["rejections"] == {"no atoms": 5 * 6 - 6}
    assert "given the composition" in result.text
    assert f"{RANKED} (%)" in result.text


def test_candidates_of_one_target_are_drawn_together(ranker, targets, tmp_path):
    measure(targets, tmp_path, samples=4, batch_size=4)
    assert sorted(sorted(i % 5 for i in indices) for _, indices in ranker.requests) == [
        [i] * 4 for i in range(5)
    ]


def test_best_of_draws_is_called_so(targets, tmp_path):
    crystals = {contents_of(s): from_structures([s]) for s in TARGETS.values()}
    register(SAMPLERS, "ranker", lambda weights, device: Oracle(crystals))
    try:
        assert measure(targets, tmp_path, samples=2).content["curve_of"] == DRAWN
    finally:
        unregister(SAMPLERS, "ranker")


def test_ranks_must_ascend():
    def row(*ranks):
        return [{"rank": rank} for rank in ranks]

    assert is_ranked([row(0, 1, None, None), row(1, 5), row(None)])
    assert not is_ranked([row(None, None), [{}]])
    for ranks in ((1, 0), (0, 0), (None, 0)):
        with pytest.raises(SamplingError, match=r"rank i // n"):
            is_ranked([row(*ranks)])


def test_polymorphs_of_equal_cells_share_candidates(tmp_path):
    """Two forms in cells of two atoms and one in a larger cell: every candidate comes once."""
    salt = TARGETS["NaCl"]
    chloride = salt.copy()
    chloride.lattice = type(salt.lattice).cubic(4.1)
    large = stretched(salt) * (2, 1, 1)
    forms = [salt, chloride, large]
    toy = Ranker({contents_of(salt): [salt, chloride], contents_of(large): [large]})
    register(SAMPLERS, "ranker", lambda weights, device: toy)
    try:
        table = write_table(tmp_path / "forms.csv.gz", forms)
        options = PolymorphsOptions(
            targets=(table,), forms=(3,), samples=3, workers=0, output=tmp_path / "p.json"
        )
        content = polymorphs(options, StructureSampler("ranker")).content
    finally:
        unregister(SAMPLERS, "ranker")
    assert content["results"]["full_coverage"]["value"] == 1
    assert content["rejections"] == {}


# What is given


def test_scaffolds_of_the_targets_are_given(ranker, targets, tmp_path):
    result = measure(targets, tmp_path, given="scaffold", samples=2)
    assert result.content["given"] == "scaffold"
    assert "given the composition and the true space group and sites" in result.text
    assert result.content["refused_targets"] == {}
    request, _ = ranker.requests[0]
    assert request.prototype == tuple(find_scaffold(s) for s in TARGETS.values())
    assert request.task.cells == tuple(contents_of(s) for s in TARGETS.values())


def test_groups_have_a_request_each(ranker, targets, tmp_path):
    content = measure(targets, tmp_path, given="group", samples=2).content
    groups = {request.space_group: request.task.cells for request, _ in ranker.requests}
    assert {group: len(cells) for group, cells in groups.items()} == {225: 2, 221: 1, 194: 1, 1: 1}
    assert groups[221] == (contents_of(TARGETS["SrTiO3"]),)
    assert content["curve"]["1"]["match_rate"]["value"] == 0.6
    assert not (tmp_path / "csp.parts").exists()


def test_the_primitive_cell_is_asked_for_where_symmetry_is_given(ranker, tmp_path):
    table = write_table(tmp_path / "t.csv.gz", [TARGETS["NaCl"] * (1, 1, 2)])
    content = measure(table, tmp_path, given="scaffold").content
    ((request, _),) = ranker.requests
    assert request.task.cells == (((11, 1), (17, 1)),)
    assert content["results"]["match_rate"]["value"] == 1


def test_a_sampler_without_symmetry_is_refused(targets, tmp_path):
    register(SAMPLERS, "ranker", lambda weights, device: Oracle({}))
    try:
        with pytest.raises(IncompatibleError, match="cannot keep a given prototype"):
            measure(targets, tmp_path, given="scaffold")
    finally:
        unregister(SAMPLERS, "ranker")


def test_nobody_is_given_the_lattice(ranker, targets, tmp_path):
    with pytest.raises(InputError, match="composition, group, scaffold, got 'lattice'"):
        measure(targets, tmp_path, given="lattice")


# Kinds of targets


def test_rows_by_free_coordinates_and_by_prototype(ranker, targets, tmp_path):
    library = write_table(tmp_path / "known.csv.gz", [TARGETS["NaCl"], TARGETS["SrTiO3"]])
    result = measure(targets, tmp_path, samples=2, library=library)
    content = result.content
    free = content["by_free_coordinates"]
    assert {name: row["targets"] for name, row in free.items()} == {"0": 3, "1-2": 1, "> 10": 1}
    assert free["0"]["curve"]["1"]["match_rate"]["value"] == pytest.approx(2 / 3)
    assert free["0"]["curve"]["2"]["match_rate"]["value"] == 1
    assert free["1-2"]["curve"]["2"]["match_rate"]["value"] == 0
    kinds = content["by_prototype"]
    assert {name: row["targets"] for name, row in kinds.items()} == {
        IN_LIBRARY: 2,
        NOT_IN_LIBRARY: 3,
    }
    assert kinds[IN_LIBRARY]["curve"]["1"]["match_rate"]["value"] == 0.5
    assert content["library"]["library"] == "known.csv.gz"
    assert content["library"]["prototypes"] == 2
    assert "1-2 free coordinates" in result.text
    assert NOT_IN_LIBRARY in result.text


def test_the_shipped_library_is_the_one_that_counts_unless_another_is_named(
    ranker, targets, tmp_path
):
    content = measure(targets, tmp_path).content
    assert content["library"]["library"].startswith("prototypes ")
    assert content["library"]["prototypes"] > 10_000
    assert set(content["by_prototype"]) <= {IN_LIBRARY, NOT_IN_LIBRARY}
    assert "by_free_coordinates" in content


def test_symmetry_of_targets_is_found_once(ranker, targets, tmp_path):
    """A later run believes what the folder says."""
    kept = tmp_path / "kept"
    measure(targets, tmp_path, keep=kept)
    file = kept / "scaffolds.jsonl"
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert [Scaffold.parse(e["result"]).free for e in entries] == [0, 0, 0, 1, 15]
    entries[0] |= {"result": None, "failure": "no space group"}
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    rows = measure(targets, tmp_path, keep=kept).content["by_free_coordinates"]
    assert {name: row["targets"] for name, row in rows.items()} == {
        "0": 2,
        "1-2": 1,
        "> 10": 1,
        "symmetry unknown": 1,
    }


def test_rows_hold_the_numbers_that_they_name():
    def free(*letters):
        return free_row(Scaffold(1, ((11, "a"),) * len(letters)))

    assert free_row(Scaffold(225, ((11, "a"),))) == "0"
    assert [free(*"a" * n) for n in (1, 2, 3, 4)] == ["3-5", "6-10", "6-10", "> 10"]
    assert free_row(None) == "symmetry unknown"
