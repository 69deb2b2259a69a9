"""The catalogue of bad input: each is listed with a reason, none costs another."""

import math
import re

import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.evaluation.entries import Entry, digest_of, read_entries, take_entries
from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import prototypes


def cubic(a: float, species: list, positions: list) -> Structure:
    return Structure(Lattice.cubic(a), species, positions)


HALF = [[0, 0, 0], [0.5, 0.5, 0.5]]
BAD = {
    "overlapping": (cubic(4, ["Na", "Cl"], [[0, 0, 0], [0.01, 0, 0]]), "closer than 0.5"),
    "on top": (cubic(4, ["Na", "Na"], [[0, 0, 0], [0, 0, 0]]), "closer than 0.5"),
    "not finite": (cubic(4, ["Na", "Cl"], [[0, 0, 0], [math.nan, 0, 0]]), "not finite"),
    "infinite cell": (
        Structure(Lattice([[math.inf, 0, 0], [0, 4, 0], [0, 0, 4]]), ["Na"], [[0, 0, 0]]),
        "not finite",
    ),
    "disordered": (cubic(4, [{"Na": 0.5, "K": 0.5}, "Cl"], HALF), "disordered"),
    "no element": (cubic(4, ["X", "Cl"], HALF), "no element"),
    "tiny cell": (cubic(0.3, ["Na"], [[0, 0, 0]]), "volume below"),
    "flat cell": (Structure(Lattice.orthorhombic(40, 40, 0.01), ["Na"], [[0, 0, 0]]), "thinner"),
    "huge cell": (cubic(1000, ["Na", "Cl"], HALF), "Å³ per atom"),
    "dense": (cubic(1.5, ["Na", "Cl"], HALF), "Å³ per atom"),
    "empty": (Structure(Lattice.cubic(4), [], []), "no atoms"),
    "transfermium": (cubic(6, ["Md", "Cl"], HALF), "no element from H"),
    "crowd": (prototypes()["Cu"] * (8, 8, 8), "more than 500"),
    "nothing": (None, "no structure"),
}


def test_each_bad_structure_is_listed_with_its_reason():
    good = prototypes()["NaCl"]
    entries = take_entries([good, *(s for s, _ in BAD.values()), good])
    assert [e.index for e in entries] == list(range(len(BAD) + 2))
    assert entries[0].reason is entries[-1].reason is None
    for entry, (name, (_, expected)) in zip(entries[1:-1], BAD.items(), strict=True):
        assert entry.structure is None, name
        assert expected in entry.reason, name


def test_atoms_are_taken_and_what_is_no_crystal_costs_itself_only():
    good = prototypes()["NaCl"]
    (alone,) = take_entries(good)
    atoms, path, number = take_entries([structure_to_atoms(good), "a.cif", 5])
    assert alone.structure.matches(good)
    assert atoms.structure.matches(good)
    assert path.structure is number.structure is None
    assert "got str" in path.reason
    assert "got int" in number.reason


def test_oxidation_states_and_far_coordinates_are_put_right():
    decorated = cubic(4.1, ["Cs+", "Cl-"], [[0, 0, 0], [3.5, 0.5, -0.5]])
    (entry,) = take_entries([decorated])
    assert [site.specie.symbol for site in entry.structure] == ["Cs", "Cl"]
    assert entry.structure[0].specie.__class__.__name__ == "Element"
    assert entry.structure.frac_coords[1] == pytest.approx([0.5, 0.5, 0.5])
    assert Entry.from_dict(entry.as_dict()) == entry


def texts(good: str) -> dict[str, tuple[bytes, str]]:
    """Broken CIF files, each with what is said of it."""
    columns = good.splitlines()[-1].split()
    nan = " ".join([*columns[:3], "nan", *columns[4:]])
    return {
        "empty": (b"", "there are no data"),
        "page": (b"<html><body>404 Not Found</body></html>", "there are no data"),
        "bytes": (bytes(range(256)) * 8, "there are no data"),
        "torn head": (good[: good.index("_atom_site")].encode(), "unreadable CIF, no crystal"),
        "torn table": (good[: good.rindex("_atom_site")].encode(), "unreadable CIF: "),
        "nan coordinate": (good.replace(good.splitlines()[-1], nan).encode(), "not a number"),
        "nan cell": (re.sub(r"(_cell_length_a\s+)\S+", r"\1nan", good).encode(), "not a number"),
        "no length": (re.sub(r"(_cell_length_a\s+)\S+", r"\g<1>0.0", good).encode(), "no cell has"),
        "negative length": (
            re.sub(r"(_cell_length_b\s+)(\S+)", r"\g<1>-\2", good).encode(),
            "negative cell length",
        ),
        "flat angle": (
            re.sub(r"(_cell_angle_gamma\s+)\S+", r"\g<1>180", good).encode(),
            "no cell has",
        ),
        "astronomic": (
            re.sub(r"(_cell_length_[abc]\s+)\S+", r"\g<1>1e30", good).encode(),
            "Å³ per atom, above",
        ),
        "no element": (good.replace(columns[0], "Qq").encode(), "no chemical element"),
    }


@pytest.mark.parametrize("workers", [0, 1])
def test_files(workers, tmp_path):
    for name, structure in prototypes().items():
        structure.to(filename=str(tmp_path / f"{name}.cif"))
    good = (tmp_path / "NaCl.cif").read_text()
    bad = texts(good)
    for name, (content, _) in bad.items():
        (tmp_path / f"{name}.cif").write_bytes(content)
    (tmp_path / "latin.cif").write_bytes(b"# caf\xe9\n" + good.encode())
    entries = {e.name: e for e in read_entries([tmp_path], workers=workers)}
    assert entries.keys() == {*prototypes(), *bad, "latin"}
    assert {n for n, e in entries.items() if e.reason is not None} == bad.keys()
    for name, (_, expected) in bad.items():
        assert re.search(expected, entries[name].reason), (name, entries[name].reason)
    assert entries["latin"].structure.composition.reduced_formula == "NaCl"


def test_draws_that_failed_were_requested(tmp_path):
    """Who fails must not look better for it: in a folder of `crysdiff sample` the record of the run
    knows them.
    """
    prototypes()["NaCl"].to(filename=str(tmp_path / "0000-NaCl.cif"))
    for record in ("{}", "[1]", "torn", '{"last_run": {"failed": {"x": "y"}}}'):
        (tmp_path / "run.json").write_text(record)
        assert [e.name for e in read_entries([tmp_path], workers=0)] == ["0000-NaCl"]
    (tmp_path / "run.json").write_text(
        '{"last_run": {"failed": {"1": "two atoms closer than 0.5 Å", "3": "nothing"}}}'
    )
    found = [(e.index, e.name, e.stage, e.reason) for e in read_entries([tmp_path], workers=0)]
    assert found == [
        (0, "0000-NaCl", None, None),
        (1, "draw 1", "read", "not drawn: two atoms closer than 0.5 Å"),
        (2, "draw 3", "read", "not drawn: nothing"),
    ]


def test_no_crystals_at_all(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_entries([tmp_path / "absent.cif"])
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(InputError, match="no known kind"):
        read_entries([tmp_path / "x.txt"])


def test_digest_sees_names_and_bytes(tmp_path):
    (tmp_path / "a.cif").write_text("1")
    first = digest_of([tmp_path])
    (tmp_path / "a.cif").write_text("2")
    second = digest_of([tmp_path])
    (tmp_path / "a.cif").rename(tmp_path / "b.cif")
    assert len({first, second, digest_of([tmp_path])}) == 3
