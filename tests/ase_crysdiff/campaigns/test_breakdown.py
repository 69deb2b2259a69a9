"""Counts of good crystals by kind."""

from ase_crysdiff.campaigns.evaluation.breakdown import Judged, breakdown


def judged(listed=True, num_atoms=5, group=221, stable=True, sun=None, rivals=True):
    return Judged(
        listed,
        rivals,
        num_atoms,
        group,
        {"metastable": True, "stable": stable, "msun": sun, "sun": sun},
    )


def test_every_crystal_is_in_one_row_of_each_kind():
    sizes = [1, 4, 5, 8, 20, 21, 300]
    groups = [1, 2, 225, 225, None, 194, 166]
    found = breakdown(
        [
            judged(n > 5, n, g, n == 4, rivals=n < 5 or n == 20)
            for n, g in zip(sizes, groups, strict=True)
        ]
    )
    assert all(sum(row["crystals"] for row in rows) == 7 for rows in found.values())
    assert all(sum(row["stable"] for row in rows) == 1 for rows in found.values())
    counts = {
        title: [(row["group"], row["crystals"]) for row in rows] for title, rows in found.items()
    }
    assert counts["Atoms in the cell"] == [
        ("1–4", 2),
        ("5–8", 2),
        ("17–20", 1),
        ("more than 20", 2),
    ]
    assert counts["Crystal system"] == [
        ("triclinic", 2),
        ("trigonal", 1),
        ("hexagonal", 1),
        ("cubic", 2),
        ("no space group found", 1),
    ]
    assert counts["Space group"][0] == ("Fm-3m", 2)
    assert [n for _, n in counts["Formula in the table of the hull"]] == [4, 2, 1]


def test_what_nobody_asked_for_is_not_zero():
    assert breakdown([judged()])["Crystal system"] == [
        {"group": "cubic", "crystals": 1, "metastable": 1, "stable": 1, "msun": None, "sun": None}
    ]
    assert breakdown([judged(sun=False)])["Crystal system"][0]["sun"] == 0
    assert breakdown([]) == {}


def test_rare_space_groups_have_no_row():
    found = breakdown([judged(group=g) for g in [*range(1, 21), 7, 9]])
    assert [row["group"] for row in found["Space group"][:2]] == ["Cc", "Pc"]
    assert len(found["Space group"]) == 12
