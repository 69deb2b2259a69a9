"""The picture of a pattern and its fit."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from ase_crysdiff.diffraction.fitting import fit_pattern
from ase_crysdiff.diffraction.results import PatternFit
from ase_crysdiff.diffraction.simulation import simulate_pattern
from ase_crysdiff.errors import InputError
from ase_crysdiff.report.patterns import pattern_figure, pattern_svg
from ase_crysdiff.testing.crystals import prototypes

SALT = prototypes()["NaCl"]
SCAN = simulate_pattern(SALT, noise=0.01, background=0.2, rng=np.random.default_rng(0))


def test_the_picture_shows_pattern_fit_difference_and_reflections(tmp_path):
    (fit,) = fit_pattern([SALT], SCAN)
    figure = pattern_figure(fit)
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    assert set(drawn) == {"measured", "calculated", "background", "difference"}
    assert np.abs(drawn["calculated"] - drawn["measured"]).std() < 2
    # The difference lies below everything else.
    assert drawn["difference"].max() < 0
    marks = axes.collections[0].get_segments()
    angles = sorted(segment[0][0] for segment in marks)
    # 111, 200, 220, 311, 222, 400, 331, 420, 422 of salt lie below 80°.
    assert len(angles) == 8 + (angles[-1] > 75.5)
    assert angles[:2] == pytest.approx([27.4, 31.7], abs=0.1)
    assert "misfit 0.0" in axes.get_title()
    figure.savefig(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 10_000


def test_the_picture_is_the_same_for_the_same_fit():
    (fit,) = fit_pattern([SALT], SCAN)
    text = pattern_svg(fit, "salt")
    assert text == pattern_svg(fit, "salt")
    assert text.startswith("<?xml")
    assert ">salt<" in text


def test_what_was_not_fitted_is_not_drawn():
    with pytest.raises(InputError, match="no fit to draw: too close"):
        pattern_figure(PatternFit(0, SALT, 1.0, remark="too close."))
