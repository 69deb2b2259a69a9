"""Sets of crystals show themselves: in notebooks as tables, and as a figure."""

import re
import time
from pathlib import Path
from runpy import run_path

import pytest

from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.pictures.columns import caption, columns
from ase_crysdiff.pictures.grid import crystal_grid
from ase_crysdiff.pictures.notebook import crystal_table
from ase_crysdiff.relaxation.relax_set import RelaxSet
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.testing.crystals import prototypes, rattled

ROOT = Path(__file__).parents[3]


def samples(count: int) -> SampleSet:
    crystals = (list(prototypes().values()) * count)[:count]
    return SampleSet(crystals, Report("toy <&>", "", 17, count, count, 0))


def relaxed() -> RelaxSet:
    kept, lost = prototypes()["NaCl"], prototypes()["Cu"]
    nan = float("nan")
    results = [
        RelaxResult(kept, True, 3, -2.5 * len(kept), 0.01, -1.0, True, uncertainty=0.012),
        RelaxResult(lost, False, 0, nan, nan, nan, False, "it was too large"),
        RelaxResult(kept, True, 3, -1.0, 0.01, -0.5, False, "the volume <grew>"),
    ]
    return RelaxSet(results, "toy")


def test_a_sample_set_is_a_table_with_a_drawing_in_each_row():
    page = samples(3)._repr_html_()
    assert page.count("<tr>") == 1 + 3
    assert page.count("<img ") == 3
    assert "toy &lt;&amp;&gt;" in page
    assert "SrTiO<sub>3</sub>" in page
    assert 'alt="Drawing of SrTiO3"' in page
    assert "not shown" not in page


def test_large_sets_say_what_they_leave_out_and_show_at_once():
    many = samples(1000)
    start = time.perf_counter()
    page = many._repr_html_()
    assert time.perf_counter() - start < 5  # 0.2 s alone on a laptop
    assert page.count("<img ") == 24
    assert "976 more are not shown" in page


def test_empty_sets_have_no_table():
    page = samples(0)._repr_html_()
    assert "<table" not in page
    assert "0 of 0 crystals" in page
    with pytest.raises(InputError, match="no crystals"):
        samples(0).plot()


def test_a_relax_set_shows_energies_and_verdicts_of_what_has_an_energy():
    page = relaxed()._repr_html_()
    assert page.count("<img ") == 2
    for words in ("<th>energy, eV/atom</th>", "\N{MINUS SIGN}2.500", "± eV/atom", "0.012"):
        assert words in page
    assert "<td>accepted</td>" in page
    assert "the volume &lt;grew&gt;" in page
    assert "1 failed" in page


def test_columns_of_nothing_are_left_out():
    crystal = prototypes()["Cu"]
    assert columns([crystal]) == {}
    known = copy_of(crystal, {"crysdiff_energy_above_hull": -0.0123})
    assert columns([crystal, known]) == {"above hull, eV/atom": ["", "\N{MINUS SIGN}0.012"]}
    assert caption(known) == ("Cu", "Fm-3m", "\N{MINUS SIGN}12 meV/atom above hull")
    assert crystal_table([known], "x", limit=0).count("<tr>") == 0


def test_figures_have_a_panel_for_each_crystal_with_a_caption():
    figure = samples(7).plot(columns=3, limit=5)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 6
    assert sum(map(bool, titles)) == 5
    assert "SrTiO₃\nPm-3m" in titles
    assert "2 more are not shown" in figure.get_supxlabel()
    assert {t.get_text() for t in figure.legends[0].get_texts()} >= {"Sr", "Ti", "O"}
    png = figure._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert len(png) > 20_000


def test_figures_of_relaxed_crystals_tell_energies():
    titles = [axes.get_title() for axes in relaxed().plot().figure.axes]
    assert titles[0].endswith("\N{MINUS SIGN}2.500 eV/atom")
    assert len(titles) == 2


def test_captions_may_be_given_and_senseless_sizes_are_refused():
    crystals = rattled(2)
    titles = [axes.get_title() for axes in crystal_grid(crystals, captions=["a", "b"]).axes]
    assert titles == ["a", "b"]
    for wrong in ({"columns": 0}, {"limit": 0}):
        with pytest.raises(InputError, match="at least 1"):
            crystal_grid(crystals, **wrong)


def test_the_example_draws_folders_of_files(tmp_path):
    for folder in ("one", "two"):
        samples(2).write(tmp_path / folder)
    main = run_path(str(ROOT / "examples" / "draw_crystals.py"))["main"]
    main([str(tmp_path / "one"), str(tmp_path / "two")], str(tmp_path / "picture.png"), columns=2)
    assert re.match(rb"\x89PNG", (tmp_path / "picture.png").read_bytes())
