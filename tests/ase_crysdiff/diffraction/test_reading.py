"""Patterns from arrays, files and lists of lines, and what is refused."""

import numpy as np
import pytest
from pymatgen.analysis.diffraction.xrd import XRDCalculator

from ase_crysdiff.diffraction.radiation import radiation
from ase_crysdiff.diffraction.reading import read_pattern
from ase_crysdiff.diffraction.simulation import simulate_pattern
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import prototypes

SALT = prototypes()["NaCl"]
SCAN = simulate_pattern(SALT, noise=0.01, background=0.2, rng=np.random.default_rng(0))
TABLE = np.stack([SCAN.two_theta, SCAN.intensity], 1)


def with_column(values):
    return np.stack([values, TABLE[:, 1]], 1)


def test_arrays_and_pairs_of_arrays_are_the_same():
    for source in (TABLE, TABLE.T, (TABLE[:, 0], TABLE[:, 1]), TABLE.tolist()):
        read = read_pattern(source)
        assert np.array_equal(read.two_theta, TABLE[:, 0])
        assert np.array_equal(read.intensity, TABLE[:, 1])
    assert read_pattern(SCAN) is SCAN


@pytest.mark.parametrize(
    ("suffix", "head", "join"),
    [
        (".xy", '\'Id: "scan" Comment: ""\n', " "),
        (".xye", "# angle intensity error\n", "  "),
        (".csv", "2theta,intensity\n", ","),
        (".csv", "Winkel;Impulse\n", ";"),
        (".dat", "! heading\nscan of salt\n\n", "\t"),
    ],
)
def test_files_are_read_below_their_heading(tmp_path, suffix, head, join):
    path = tmp_path / f"scan{suffix}"
    columns = np.c_[TABLE, np.ones(len(TABLE))] if suffix == ".xye" else TABLE
    lines = [join.join(f"{x:.5f}" for x in row) for row in columns]
    if join == ";":
        lines = [line.replace(".", ",") for line in lines]
    path.write_text(head + "\n".join(lines) + "\n")
    read = read_pattern(path)
    assert np.allclose(read.two_theta, TABLE[:, 0], atol=1e-5)
    assert np.allclose(read.intensity, TABLE[:, 1], atol=1e-5)


def test_lines_by_distance_and_by_angle_are_the_same_pattern():
    lines = XRDCalculator(1.5406).get_pattern(SALT, two_theta_range=(10, 80))
    by_distance = read_pattern(list(zip(lines.d_hkls, lines.y, strict=True)))
    by_angle = read_pattern(np.stack([lines.x, lines.y], 1))
    assert np.allclose(by_distance.peaks, by_angle.peaks)
    assert np.allclose(by_distance.intensity, read_pattern(lines).intensity)
    top = by_angle.two_theta[by_angle.intensity.argmax()]
    assert top == pytest.approx(lines.x[int(np.argmax(lines.y))], abs=0.03)


def test_names_of_lines_are_wavelengths():
    assert radiation("CuKa1").wavelength == 1.54056
    assert radiation("cu-kα1").wavelength == 1.54056
    assert len(radiation("CuKa").lines) == 2
    assert radiation("CuKa").wavelength == pytest.approx(1.54184, abs=2e-4)
    assert radiation("0.7093").wavelength == 0.7093


@pytest.mark.parametrize(
    ("wavelength", "message"),
    [
        ("TiKa", "No line is called 'TiKa'. Known are AgKa"),
        (0.0, "between 0.16 and 6 Å, got 0.0"),
        (-1.54, "between 0.16"),
        (154.06, "In pm it would be 1.5406 Å"),
        (0.15406, "In nm it would be 1.5406 Å"),
        (float("nan"), "got nan"),
        (None, "a number or a name, got None"),
        (True, "a number or a name, got True"),
    ],
)
def test_nonsense_wavelengths_are_refused(wavelength, message):
    with pytest.raises(InputError, match=message):
        read_pattern(TABLE, wavelength)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (TABLE[:, :1], "has the shape 3501 × 1"),
        (np.zeros((0, 2)), "has the shape 0 × 2"),
        ("a pattern", "cannot be read"),
        ([["a", "b"]], "This is no pattern"),
        (with_column(np.where(np.arange(3501) == 7, np.nan, TABLE[:, 0])), "row 8 is \\(nan"),
        (with_column(TABLE[::-1, 0]), "Angles of a scan must ascend"),
        (with_column(np.r_[TABLE[0, 0], TABLE[:-1, 0]]), "occurs 2 times"),
        (with_column(TABLE[:, 0] - 20), "angles and distances are above 0"),
        (with_column(np.radians(TABLE[:, 0])), "looks like radians"),
        (with_column(4 * np.pi * np.sin(np.radians(TABLE[:, 0] / 2)) / 1.54), "scattering vector"),
        (with_column(TABLE[:, 0] * 3), "beyond 180°"),
        (np.c_[TABLE[:, 0], -TABLE[:, 1]], "must not be negative"),
        (np.c_[TABLE[:, 0], np.full(3501, 5.0)], "No peaks stand out"),
        (np.c_[TABLE[:, 0], np.random.default_rng(0).normal(100, 10, 3501)], "No peaks stand out"),
        ([(3.0, 1.0), (2.0, 1.0)], "2 lines"),
        ([(0.3, 1.0), (0.2, 1.0), (0.1, 1.0)], "sees none below 0.77 Å"),
    ],
)
def test_what_is_no_pattern_is_refused(source, message):
    with pytest.raises(InputError, match=message):
        read_pattern(source)


def test_files_that_are_no_tables_are_refused(tmp_path):
    path = tmp_path / "scan.xy"
    for text, message in (
        ("nothing here\n", "no columns of numbers"),
        ("10 1\n10.1 2 3\n", "line 2"),
        ("10 1\nend of data\n", "line 2: 'end of data'"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_pattern(path)
    path.write_bytes(b"\xff\xfeRAW1.01\x00\x80")
    with pytest.raises(InputError, match="is no text"):
        read_pattern(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_pattern(tmp_path / "missing.xy")


def test_column_says_what_looks_otherwise():
    short = np.stack([TABLE[:, 0] / 6, TABLE[:, 1]], 1)
    with pytest.raises(InputError, match="column='two_theta'"):
        read_pattern(short)
    assert read_pattern(short, column="two_theta").two_theta[-1] == pytest.approx(80 / 6)
    with pytest.raises(InputError, match="column is"):
        read_pattern(TABLE, column="q")
