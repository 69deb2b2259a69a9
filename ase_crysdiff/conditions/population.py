"""Steering by a number that somebody predicts for crystals: of several candidates for each crystal
those near a window go on.

Each crystal of a run has a population of its own, so that its neighbours in a batch change nothing.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import torch

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Condition, Context, Denoise
from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.crystal.properties import is_window
from ase_crysdiff.errors import InputError
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction, StreamFor
from ase_crysdiff.shapes import Float, Int, Tensor

#: Logarithm of the weight of a crystal without a value, against one inside the window.
_UNKNOWN = -30.0


class Steering(Condition):
    """Samples from p(x) exp(-strength d(x)), where p is what the sampler has learnt and d the
    distance of a predicted number from a window, in half widths of the window; where one side is
    open, in tenths of the limit.

    Where there is a loop, candidates are resampled at a few times by the prediction for their clean
    estimates (Feynman-Kac), at the end one is drawn; where there is none, it is drawn from the
    finished candidates by their weights. More candidates come nearer to that law.

    Args:
        window: The smaller and the larger number; None for one of them leaves that side open.
        population: Candidates for each crystal, each of which costs as much as a crystal.
        strength: 0 is unsteered.
        times: At which a loop resamples (0 = data, 1 = noise), beside its end.

    Raises:
        InputError: If a setting makes no sense.

    Source: Singhal et al. 2025 (Feynman-Kac steering), difference potentials; systematic
    resampling. A population for each crystal, not one for all, is ours.
    """

    def __init__(
        self,
        window: Sequence[float | None],
        population: int = 8,
        strength: float = 4.0,
        times: Iterable[float] = (0.4, 0.2, 0.05),
    ) -> None:
        self.window = _checked(window)
        self.population = arguments.positive("population", population, 2)
        self.strength = arguments.not_negative("strength", strength)
        self.times = tuple(float(t) for t in times)
        if not all(0 < t < 1 for t in self.times):
            raise InputError(f"times of a resampling lie between 0 and 1, got {self.times}.")
        self._seen: tuple[NoisyState, float, Prediction] | None = None
        self._context: Context = {}
        self._before, self._log = 1.0, torch.zeros(0, dtype=torch.float64)

    @abstractmethod
    def values(self, crystals: CrystalBatch) -> Float[Tensor, " crystals"]:
        """The predicted number of each crystal, NaN where there is none; vacancies are left out."""

    def log_weights(self, crystals: CrystalBatch) -> Float[Tensor, " crystals"]:
        """Logarithms of the weights of crystals: 0 inside the window."""
        values = self.values(crystals).double()
        low, high = self.window
        distance = torch.relu(low - values) + torch.relu(values - high)
        found = -self.strength * distance / self._half_width
        return torch.where(values.isnan(), self.strength * _UNKNOWN / 4, found).clamp_min(-1e3)

    def chosen(
        self, logs: Float[Tensor, " candidates"], draws: Float[Tensor, " groups"]
    ) -> Int[Tensor, " groups"]:
        """One candidate of each population, as often as its weight says.

        Args:
            logs: Logarithms of weights, populations one after the other.
            draws: In [0, 1), one for each population.
        """
        return self._ancestors(logs, draws, 1)[:, 0]

    def start(self, state: NoisyState, joint: JointProcess, layout: Layout) -> NoisyState:
        self._before = 1.0
        self._log = torch.zeros(layout.num_crystals, dtype=torch.float64)
        return state

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        def watched(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            self._seen, self._context = (state, t, prediction), context
            return prediction

        return watched

    def parents(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout, rng: StreamFor
    ) -> Int[Tensor, " crystals"] | None:
        """Which candidate each one goes on from; at the end all of a population from one."""
        due = s == 0 or any(s <= time < self._before for time in self.times)
        self._before = s
        if not due or self._seen is None:
            return None
        logs = self.log_weights(self._estimate(state, s, joint, layout))
        weights, self._log = logs - self._log, logs
        draws = rng("steering", "crystal").uniform(1)[:: self.population, 0].double().cpu()
        if s == 0:
            return self.chosen(weights, draws).repeat_interleave(self.population)
        return self._ancestors(weights, draws, self.population).flatten()

    def follow(self, parents: Int[Tensor, " crystals"], layout: Layout) -> None:
        self._log = self._log[parents]

    def _estimate(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout
    ) -> CrystalBatch:
        """The crystals of clean estimates; at the end those of the state."""
        clean = {name: state[name] for name in joint.components}
        if s > 0:
            assert self._seen is not None
            seen, t, prediction = self._seen
            for name in clean:
                found = joint.clean(name, seen, prediction, t, layout)
                is_class = found.dim() > clean[name].dim()
                clean[name] = found.argmax(-1) if is_class else found
        return joint.decode(clean, layout, self._context)

    def _ancestors(self, logs: Tensor, draws: Tensor, count: int) -> Int[Tensor, "groups count"]:
        """Candidates at evenly spaced shares of each population's weights."""
        groups = logs.view(-1, self.population)
        sums = torch.softmax(groups, 1).cumsum(1)
        places = (draws[:, None] + torch.arange(count)) / count
        own = torch.searchsorted(sums, places.contiguous(), right=True)
        first = torch.arange(len(groups))[:, None] * self.population
        return first + own.clamp_max(self.population - 1)

    @property
    def _half_width(self) -> float:
        low, high = self.window
        width = (high - low) / 2
        return width if width < float("inf") else max(abs(low if low > -width else high), 1.0) / 10


def steering_of(conditions: Sequence[Condition]) -> Steering | None:
    """The steering among conditions; None if there is none.

    Raises:
        InputError: If there are several.
    """
    found = [c for c in conditions if isinstance(c, Steering)]
    if len(found) > 1:
        raise InputError("One population has one steering; several are given. Leave one.")
    return found[0] if found else None


def _checked(window: object) -> tuple[float, float]:
    """Two numbers, of which one may be infinite."""
    if isinstance(window, tuple | list) and len(window) == 2 and list(window) != [None, None]:
        low = -float("inf") if window[0] is None else window[0]
        high = float("inf") if window[1] is None else window[1]
        if window[0] is None or window[1] is None or is_window(window):
            try:
                return float(low), float(high)
            except (TypeError, ValueError):
                pass
    raise InputError(
        "window is two numbers, the smaller one first, of which one may be None, such as "
        f"(1.5, 2.5) or (200, None); got {window!r}."
    )
