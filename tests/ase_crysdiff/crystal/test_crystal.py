import gzip
import json

import ase.db
import ase.io
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from ase_crysdiff.crystal import convert
from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.crystal.state_space import IdentitySpace, MirageSpace
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.packing import pack
from ase_crysdiff.errors import InputError, ShapeError
from ase_crysdiff.randomness import GeneratorStream, Streams
from ase_crysdiff.testing.crystals import prototypes, random_batch, rattled


def same(a: Structure, b: Structure) -> bool:
    np.testing.assert_allclose(a.distance_matrix, b.distance_matrix, atol=1e-4)
    return a.composition == b.composition and abs(a.volume - b.volume) < 1e-2


def test_batch_sorts_selects_and_splits(generator):
    batch = random_batch([5, 1, 3, 1], generator)
    ordered, order = batch.sorted()
    assert ordered.num_atoms.tolist() == [1, 1, 3, 5]
    back = ordered.select(torch.argsort(order))
    for field in ("lattice", "frac_coords", "species", "num_atoms"):
        assert torch.equal(getattr(back, field), getattr(batch, field))
    again = CrystalBatch.cat(batch.split())
    assert torch.equal(again.frac_coords, batch.frac_coords)
    (block,) = [b for b in ordered.layout.blocks if b.size == 1]
    assert block.view(ordered.frac_coords).shape == (2, 1, 3)


@pytest.mark.parametrize(
    ("pairs", "counts"), [(10**9, [7]), (12, [2, 2, 3]), (4, [1] * 7), (1, [1] * 7)]
)
def test_portions_of_a_block_are_the_block(pairs, counts):
    block = Layout((1, 2, 2, 2, 2, 2, 2, 2)).blocks[1]
    parts = block.portions(pairs)
    assert [part.count for part in parts] == counts
    rows = torch.arange(15)
    assert torch.equal(torch.cat([part.view(rows) for part in parts]), block.view(rows))
    assert torch.equal(
        torch.cat([torch.arange(8)[part.crystals] for part in parts]),
        torch.arange(8)[block.crystals],
    )


def test_batch_refuses_rows_that_belong_to_nobody():
    with pytest.raises(ShapeError, match="adds up to 7"):
        CrystalBatch(torch.eye(3)[None], torch.rand(8, 3), torch.ones(8).long(), torch.tensor([7]))
    with pytest.raises(ShapeError, match="ascending"):
        Layout((3, 2))


@pytest.mark.parametrize("name", list(prototypes()))
def test_converters_round_trip(name):
    structure = prototypes()[name]
    batch = convert.from_structures([structure])
    (again,) = convert.to_structures(batch)
    assert same(structure.get_sorted_structure(lambda s: s.specie.mendeleev_no), again)
    atoms = convert.structure_to_atoms(again)
    assert same(convert.to_structures(convert.from_atoms([atoms]))[0], again)


def test_converters_name_the_bad_structure():
    good = prototypes()["NaCl"]
    half = Structure(Lattice.cubic(4), [{"Na": 0.5}], [[0, 0, 0]])
    with pytest.raises(InputError, match="Structure 1: .*disordered"):
        convert.from_structures([good, half])
    slab = convert.structure_to_atoms(good)
    slab.pbc = (True, True, False)
    with pytest.raises(InputError, match="periodic along"):
        convert.from_atoms([slab])
    nan = good.copy()
    nan.translate_sites([0], [np.nan, 0, 0], to_unit_cell=False)
    with pytest.raises(InputError, match="not finite"):
        convert.from_structures([nan])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=6))
def test_mirage_space_returns_the_real_atoms(sizes):
    generator = torch.Generator().manual_seed(sum(sizes))
    batch = random_batch(sizes, generator)
    space = MirageSpace(8, 8)
    extended = space.refresh(space.extend(batch), GeneratorStream(8 * len(sizes), generator))
    assert extended.num_atoms.tolist() == [8] * len(sizes)
    back = space.decode(extended)
    for field in ("lattice", "frac_coords", "species", "num_atoms"):
        assert torch.equal(getattr(back, field), getattr(batch, field))


def test_spare_rows_are_drawn_once_and_as_often_as_their_odds(generator):
    batch = random_batch([3] * 400 + [5] * 400, generator)
    space = MirageSpace(8, spare=[2.0, 1.0, 1.0])
    extended = space.extend(batch)
    more = (extended.num_atoms - batch.num_atoms).tolist()
    assert [more.count(n) / 800 for n in range(3)] == pytest.approx([0.5, 0.25, 0.25], abs=0.05)
    assert torch.equal(extended.num_atoms, space.extend(batch).num_atoms)
    back = space.decode(space.refresh(extended, GeneratorStream(len(extended.species), generator)))
    for field in ("lattice", "frac_coords", "species", "num_atoms"):
        assert torch.equal(getattr(back, field), getattr(batch, field))
    # Whoever draws rows for new crystals draws them as they come in training.
    odds = space.rows_odds({3: 1.0, 5: 1.0})
    assert odds == pytest.approx({3: 0.5, 4: 0.25, 5: 0.75, 6: 0.25, 7: 0.25})
    assert (space.encoded_size(5), space.max_rows) == (5, 10)
    assert MirageSpace(8, slots=10).rows_odds({3: 1.0, 5: 2.0}) == {10: 3.0}
    assert space.extend(batch.select([0]), 6).num_atoms.tolist() == [6]


def test_vacancies_can_weigh_less_than_atoms(generator):
    space = MirageSpace(6, spare=[0.0, 0.0, 1.0], vacancy_weight=0.5)
    extended = space.extend(random_batch([2, 4], generator))
    weights = space.loss_weights(extended, "species")
    assert float(weights.mean()) == pytest.approx(1)
    vacant = extended.species == 0
    assert torch.allclose(weights[vacant], weights[~vacant][0] / 2)


def test_mirage_places_are_drawn_anew_and_carry_no_loss(generator):
    space = MirageSpace(6, 6)
    extended = space.extend(random_batch([2, 4], generator))
    rng = GeneratorStream(12, generator)
    first, second = space.refresh(extended, rng), space.refresh(extended, rng)
    mirage = extended.species == 0
    assert not torch.equal(first.frac_coords[mirage], second.frac_coords[mirage])
    assert torch.equal(first.frac_coords[~mirage], second.frac_coords[~mirage])
    weights = space.loss_weights(first, "frac_coords")
    assert float(weights.mean()) == pytest.approx(1)
    assert (weights[mirage] == 0).all()
    assert space.loss_weights(first, "species") is None


def test_state_spaces_refuse_what_they_cannot_hold():
    with pytest.raises(InputError, match="1 to 20 atoms"):
        MirageSpace(20, slots=25).encoded_size(21)
    with pytest.raises(InputError, match="1 to 5 atoms"):
        IdentitySpace(5).encoded_size(0)
    with pytest.raises(InputError, match="slots"):
        MirageSpace(6, slots=5)
    for wrong in ({}, {"slots": 8, "spare": [1.0]}, {"spare": []}, {"spare": [1.0, -1.0]}):
        with pytest.raises(InputError, match="spare"):
            MirageSpace(6, **wrong)


def test_streams_do_not_depend_on_company():
    cpu = torch.device("cpu")
    both = Streams(7, (3, 5)).rng("species", 4, [2, 3], cpu, torch.float32).normal(3)
    alone = Streams(7, (5,)).rng("species", 4, [3], cpu, torch.float32).normal(3)
    assert torch.equal(both[2:], alone)
    for other in (Streams(8, (5,)), Streams(7, (6,)), Streams(7, (5,), (1,))):
        assert not torch.equal(other.rng("species", 4, [3], cpu, torch.float32).normal(3), alone)
    assert not torch.equal(
        Streams(7, (5,)).rng("lattice", 4, [3], cpu, torch.float32).normal(3), alone
    )
    assert not torch.equal(
        Streams(7, (5,)).rng("species", 5, [3], cpu, torch.float32).normal(3), alone
    )


@pytest.mark.parametrize("seed", [-1, 2**63, True])
def test_streams_refuse_bad_seeds(seed):
    with pytest.raises(InputError, match="seed"):
        Streams(seed, (0,))


def write_sources(folder, structures):
    table = folder / "table.csv.gz"
    with gzip.open(table, "wt") as file:
        file.write("material_id,formula,band_gap,cif\n")
        for i, s in enumerate(structures):
            cif = str(CifWriter(s)).replace('"', '""')
            file.write(f'id-{i},NaN,{i / 10},"{cif}"\n')
        file.write('broken,X,0.5,"not a cif"\n')
    cifs = folder / "cifs"
    cifs.mkdir()
    for i, s in enumerate(structures):
        s.to(filename=str(cifs / f"{i}.cif"))
    (cifs / "two.cif").write_text("".join(str(CifWriter(s)) for s in structures[:2]))
    (cifs / "notes.txt").write_text("not a crystal")
    structures[0].to(filename=str(folder / "POSCAR"), fmt="poscar")
    atoms = [convert.structure_to_atoms(s) for s in structures]
    ase.io.write(folder / "all.extxyz", atoms)
    with ase.db.connect(folder / "all.db") as database:
        for a in atoms:
            database.write(a)
    return [table, cifs, folder / "POSCAR", folder / "all.extxyz", folder / "all.db"]


def test_pack_reads_every_kind_and_counts_what_it_skips(tmp_path):
    structures = rattled(5)
    sources = write_sources(tmp_path, structures)
    packed, report = pack(sources, progress=False)
    assert report.read == 6 + 7 + 1 + 5 + 5
    assert report.kept == report.read - 1
    assert [name for name, _ in report.skipped] == ["broken"]
    assert "unreadable" in report.skipped[0][1]
    for i, s in enumerate(structures):
        assert packed.batch.num_atoms[i] == len(s)
        assert float(torch.linalg.det(packed.batch.lattice[i]).abs()) == pytest.approx(
            s.volume, rel=1e-4
        )
    np.testing.assert_allclose(packed.values["band_gap"][:5], [0, 0.1, 0.2, 0.3, 0.4])
    assert packed.values["band_gap"][5:].isnan().all()


def test_pack_skips_disordered_empty_and_large_with_reasons(tmp_path):
    Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]).to(
        filename=str(tmp_path / "half.cif")
    )
    (tmp_path / "empty.cif").write_text("")
    Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.05, 0, 0]]).to(
        filename=str(tmp_path / "close.cif")
    )
    (prototypes()["NaCl"] * (3, 3, 3)).to(filename=str(tmp_path / "large.cif"))
    prototypes()["NaCl"].to(filename=str(tmp_path / "good.cif"))
    packed, report = pack([tmp_path], max_atoms=20, progress=False)
    assert len(packed) == report.kept == 1
    reasons = dict(report.skipped)
    assert reasons["half"] == "disordered"
    assert reasons["large"] == "more than 20 atoms"
    assert "closer than" in reasons["close"]
    assert "unreadable" in reasons["empty"]
    assert "4 of 5" not in report.summary()
    assert "1 of 5" in report.summary()


def test_pack_of_nothing_is_an_error(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        pack([tmp_path / "absent.csv"], progress=False)
    with pytest.raises(InputError, match="holds no CIF"):
        pack([tmp_path], progress=False)
    (tmp_path / "a.pdf").write_text("")
    with pytest.raises(InputError, match="no known kind"):
        pack([tmp_path / "a.pdf"], progress=False)
    (tmp_path / "b.csv").write_text("id,x\n1,2\n")
    with pytest.raises(InputError, match="no column 'cif'"):
        pack([tmp_path / "b.csv"], progress=False)


def test_packed_file_round_trip(tmp_path, crystals):
    path = tmp_path / "data.safetensors"
    crystals.save(path)
    again = PackedCrystals.load(path)
    assert again.digest == crystals.digest
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read as a packed data set"):
        PackedCrystals.load(path)
    with pytest.raises(InputError, match="crysdiff pack"):
        PackedCrystals.load(tmp_path / "absent.safetensors")
    (tmp_path / "card.json").write_text(json.dumps({}))
    with pytest.raises(InputError):
        PackedCrystals.load(tmp_path / "card.json")


@pytest.mark.data
def test_readers_agree_with_pymatgen_on_real_tables(data):
    packed, report = pack([data / "mp" / "val.csv.gz"], progress=False)
    assert report.kept == report.read == 1073
    assert int(packed.batch.num_atoms.max()) <= 52
    assert {"band_gap", "e_above_hull"} <= set(packed.values)
