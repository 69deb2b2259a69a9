"""What every process must satisfy; authors of new ones run the same checks.

Each check takes a process and raises AssertionError with the numbers that disagree:

    for name, check in CHECKS.items():
        check(MyProcess())
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ase_crysdiff.processes.base import ComponentState, Process
from ase_crysdiff.shapes import Tensor

ROWS = 12
_TIMES = (0.02, 0.3, 0.75)


@dataclass
class Recorded:
    """Random numbers that can be asked for again, and for some of the rows alone.

    Args:
        seed: Of the numbers.
        rows: Rows that are wanted; None wants all.
    """

    seed: int
    rows: slice | None = None

    def normal(self, width: int) -> Tensor:
        """Standard normals, shape (rows, width)."""
        return self._rows(
            torch.randn(ROWS, width, generator=self._generator(), dtype=torch.float64)
        )

    def uniform(self, width: int) -> Tensor:
        """Numbers in [0, 1), shape (rows, width)."""
        return self._rows(torch.rand(ROWS, width, generator=self._generator(), dtype=torch.float64))

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def _rows(self, values: Tensor) -> Tensor:
        return values if self.rows is None else values[self.rows]


def a_point_is_its_own_clean_estimate(process: Process[Any]) -> None:
    """`from_clean` and `clean` invert each other, whatever the state."""
    for t in _TIMES:
        state, _ = process.corrupt(_points(process), _times(t), Recorded(2))
        wanted = _estimate(process)
        found = process.clean(state, process.from_clean(state, wanted, _times(t)), _times(t))
        _near(process, found, wanted, 1e-8, f"clean(from_clean(x)) at t = {t}")


def the_truth_is_reached(process: Process[Any]) -> None:
    """A network that knows the data brings every state back to them in one step to t = 0."""
    truth = _points(process)
    for t in _TIMES:
        state, _ = process.corrupt(truth, _times(t), Recorded(3))
        prediction = process.from_clean(state, truth, _times(t))
        end = process.reverse(state, prediction, _times(t), _times(0.0), Recorded(4))
        _near(process, _value(end), truth, 1e-8, f"the end of a step from t = {t}")


def no_time_no_noise(process: Process[Any]) -> None:
    """At t = 0 a state is the data."""
    truth = _points(process)
    state, _ = process.corrupt(truth, _times(0.0), Recorded(5))
    _near(process, _value(state), truth, 1e-12, "the state at t = 0")


def rows_are_independent(process: Process[Any]) -> None:
    """Rows that are computed alone, with their own random numbers, come out the same."""
    truth, some = _points(process), slice(3, 7)
    steps = {
        "corrupt": lambda x, t, d: process.corrupt(x, t, d)[0],
        "renoise": lambda x, t, d: process.renoise(_as_state(process, x, d), t / 2, t, d),
    }
    for name, step in steps.items():
        whole = _value(step(truth, _times(0.4), Recorded(6)))
        alone = _value(step(truth[some], _times(0.4)[some], Recorded(6, some)))
        _near(process, alone, whole[some], 1e-10, f"rows of {name} that are computed alone")


def inputs_stay(process: Process[Any]) -> None:
    """Nothing that is given is changed."""
    truth, t, s = _points(process), _times(0.5), _times(0.2)
    state, _ = process.corrupt(truth, t, Recorded(7))
    prediction = process.from_clean(state, truth, t)
    given = (truth, _value(state), prediction, t, s)
    before = [x.clone() for x in given]
    process.reverse(state, prediction, t, s, Recorded(8))
    process.renoise(state, s, t, Recorded(9))
    process.clean(state, prediction, t)
    process.correct(state, prediction, t, 1e-5, Recorded(10))
    for old, new in zip(before, given, strict=True):
        assert torch.equal(old, new), f"{type(process).__name__} has changed what it was given"


def more_time_more_noise(process: Process[Any]) -> None:
    """Where a state is data plus noise, noise grows with time beside the share of the data, which
    does not grow.
    """
    found = [process.scales(t) for t in (0.0, *_TIMES, 1.0)]
    if None in found:
        return
    known = [x for x in found if x is not None]
    signals, noises = zip(*known, strict=True)
    assert abs(noises[0]) < 1e-9, f"noise {noises[0]} at t = 0"
    assert abs(signals[0] - 1) < 1e-9, f"share of the data {signals[0]} at t = 0"
    ratios = [noise / signal if signal else math.inf for signal, noise in known]
    assert ratios == sorted(ratios), f"noise beside the data does not grow: {ratios}"
    assert list(signals) == sorted(signals, reverse=True), f"the data's share grows: {signals}"


def the_target_is_the_best_prediction(process: Process[Any]) -> None:
    """No prediction has a smaller loss than the one that implies the truth."""
    truth = _points(process)
    state, target = process.corrupt(truth, _times(0.4), Recorded(11))
    best = process.from_clean(state, truth, _times(0.4))
    other = best + 0.5 * torch.randn(
        best.shape, generator=torch.Generator().manual_seed(0), dtype=best.dtype
    )
    low, high = (process.loss(p, target, state, _times(0.4)) for p in (best, other))
    assert low.shape == (ROWS,), f"one loss per row is wanted, got shape {tuple(low.shape)}"
    assert bool((low <= high + 1e-6).all()), f"losses {low.tolist()} of the truth, {high.tolist()}"


def blending_ends_where_it_should(process: Process[Any]) -> None:
    """Weight 0 gives the first of two estimates, weight 1 the second."""
    first, second = _estimate(process, 12), _estimate(process, 13)
    for weight, wanted in ((0.0, first), (1.0, second)):
        _near(process, process.blend(first, second, weight), wanted, 1e-8, f"weight {weight:g}")


CHECKS: Mapping[str, Callable[[Process[Any]], None]] = {
    check.__name__: check
    for check in (
        a_point_is_its_own_clean_estimate,
        the_truth_is_reached,
        no_time_no_noise,
        rows_are_independent,
        inputs_stay,
        more_time_more_noise,
        the_target_is_the_best_prediction,
        blending_ends_where_it_should,
    )
}


def _times(t: float) -> Tensor:
    return torch.full((ROWS,), t, dtype=torch.float64)


def _value(state: Any) -> Tensor:
    value: Tensor = state.value if isinstance(state, ComponentState) else state
    return value


def _points(process: Process[Any], seed: int = 1) -> Tensor:
    """Points of the process's space: its own prior draws some."""
    return _value(process.prior(Recorded(seed)))


def _as_state(process: Process[Any], points: Tensor, rng: Any) -> Any:
    """A state at t = 0."""
    return process.corrupt(points, torch.zeros(len(points), dtype=torch.float64), rng)[0]


def _estimate(process: Process[Any], seed: int = 14) -> Tensor:
    """A clean estimate: a point, or logarithms of probabilities where points are classes."""
    points = _points(process, seed)
    if points.is_floating_point():
        return points
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, process.width, generator=generator, dtype=torch.float64)


def _near(process: Process[Any], found: Tensor, wanted: Tensor, limit: float, what: str) -> None:
    """Whether two tensors agree; on the torus 0 and 1 are the same place."""
    assert found.shape == wanted.shape, f"{what}: shape {found.shape}, expected {wanted.shape}"
    away = (found - wanted).to(torch.float64)
    if bool(((_points(process) >= 0) & (_points(process) < 1)).all()) and process.width == 3:
        away = away - away.round()
    worst = float(away.abs().max())
    assert worst <= limit, f"{type(process).__name__}: {what} is off by {worst:.3g}"
