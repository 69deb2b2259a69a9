"""Background, noise and widths that a scan is found to have are those it was made with."""

import numpy as np
import pytest

from ase_crysdiff.diffraction.scan import scan_of
from ase_crysdiff.diffraction.simulation import simulate_pattern
from ase_crysdiff.testing.crystals import prototypes

CRYSTALS = prototypes()


@pytest.mark.parametrize("name", ["NaCl", "SrTiO3", "MoS2"])
@pytest.mark.parametrize("width", [0.1, 0.3])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_width_and_noise_are_found(name, width, noise):
    rng = np.random.default_rng(1)
    scan = scan_of(
        simulate_pattern(CRYSTALS[name], width=width, noise=noise, background=0.3, rng=rng)
    )
    assert width * 0.9 < scan.width < width * 1.35
    points = round(scan.step / 0.02)
    assert scan.noise == pytest.approx(100 * noise / np.sqrt(points), rel=0.1, abs=0.02)


def test_background_passes_below_the_peaks():
    rng = np.random.default_rng(0)
    made = simulate_pattern(CRYSTALS["MoS2"], width=0.2, noise=0.01, background=0.4, rng=rng)
    scan = scan_of(made)
    true = 40 * np.exp(-np.log(3) * (scan.two_theta - 10) / 70)
    off = scan.background - true
    # Tails of the peaks lie on it, noise below.
    assert np.percentile(np.abs(off), 90) < 2.5
    assert off.max() < 8


def test_lines_have_no_background():
    from ase_crysdiff.diffraction.reading import read_pattern

    scan = scan_of(read_pattern([(3.0, 100.0), (2.1, 40.0), (1.7, 60.0), (1.3, 20.0)]))
    assert not scan.background.any()
    assert scan.noise == pytest.approx(0, abs=1e-3)
