"""Bayesian flows: the state is not noisy data but what noisy observations let one believe of them.

An observation of accuracy α shows where a datum lies through a window: its image φ(x) in some
vector space, as y ~ N(α φ, α). Observations add up to evidence w ~ N(A φ, A), whose accuracy A is
the sum of theirs, however many there were. What is believed given w is different on each space: a
normal on the line, a von Mises on the circle, probabilities of classes. Each process keeps that
belief in its states and knows how to read the evidence off it.

The published flow on the circle observes angles, y ~ VM(x, α), a finite number of times. For many
weak observations the sum of their arrows tends to the law above with φ = (cos x, sin x), A being
half the sum of the α² (`testing.periodic_flow_reference`), so that no chain need be simulated, and
one network serves any number of steps.

Source: Graves et al. 2023 (Bayesian flow networks); Wu et al. 2025 (CrysBFN) for the circle.
"""

from abc import abstractmethod

import torch

from ase_crysdiff.processes.base import ComponentState, Process, S, per_row
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.schedules.accuracy import Accuracy
from ase_crysdiff.shapes import Float, Tensor


class BayesianFlow(Process[S]):
    """Evidence about the image of a datum, and the belief that it allows.

    Args:
        schedule: Accuracy A of the evidence as a function of time.
        dimensions: Of the space of images.
    """

    def __init__(self, schedule: Accuracy, dimensions: int) -> None:
        self.schedule = schedule
        self.dimensions = dimensions

    def corrupt(self, clean: Tensor, t: Tensor, rng: RandomStream) -> tuple[S, Tensor]:
        root = self._accuracy(t).sqrt()
        unit = root * self.image(clean).to(root) + rng.normal(self.dimensions).to(root)
        state = self.belief(unit, clean, t)
        return state, self.target(state, clean, t)

    def reverse(self, value: S, prediction: Tensor, t: Tensor, s: Tensor, rng: RandomStream) -> S:
        """The belief after an observation of the estimate, Bayes' update; at s = 0 the estimate."""
        numbers = rng.normal(self.dimensions + 1)
        drawn = self.drawn(value, prediction, t, numbers[:, -1:])
        before, after = self._accuracy(t), self._accuracy(s)
        more = after - before
        evidence = self.evidence(value, t) + more * self.image(drawn).to(more)
        unit = (evidence + more.sqrt() * numbers[:, :-1].to(more)) / after.sqrt().clamp_min(1e-30)
        return self.belief(unit, drawn, s)

    def renoise(self, value: S, s: Tensor, t: Tensor, rng: RandomStream) -> S:
        """The belief before some of the observations were made. Given their sum, the part that was
        known before is normal, whatever the datum.
        """
        datum = value.value if isinstance(value, ComponentState) else value
        least, most = self._accuracy(t), self._accuracy(s)
        known = per_row(s, least) == 0  # the datum itself: evidence without end
        mean = torch.where(known, self.image(datum).to(least), self.evidence(value, s) / most)
        share = torch.where(known, torch.zeros_like(most), least / most)
        unit = least.sqrt() * mean + (1 - share).sqrt() * rng.normal(self.dimensions).to(least)
        return self.belief(unit, datum, t)

    def surprise(self, t: Float[Tensor, " rows"], distance: Tensor) -> Float[Tensor, " rows"]:
        """The loss: by how much the observations of a short time around t are expected to differ
        from those of the estimate, nats per time, -½ dA/dt |φ(x) - φ(x̂)|².

        Args:
            t: Times.
            distance: Squared distance of the images.

        Source: Graves et al. 2023, equations 101 and 205; Wu et al. 2025, the loss of angles, α
        I_1 / I_0 (1 - cos) for each observation, which tends to this.
        """
        return self.schedule.slope(t) / 2 * distance

    def _accuracy(self, t: Tensor) -> Float[Tensor, "rows 1"]:
        return self.schedule.at(t).unsqueeze(-1)

    @abstractmethod
    def image(self, clean: Tensor) -> Float[Tensor, "rows dimensions"]:
        """φ of data."""

    @abstractmethod
    def belief(
        self, unit: Float[Tensor, "rows dimensions"], clean: Tensor, t: Float[Tensor, " rows"]
    ) -> S:
        """The state that evidence w allows at t; the datum itself at t = 0.

        Args:
            unit: w / √A, which has a limit where nothing has been observed.
            clean: The datum, or an estimate.
            t: Times.
        """

    @abstractmethod
    def evidence(self, state: S, t: Float[Tensor, " rows"]) -> Float[Tensor, "rows dimensions"]:
        """The evidence w that a belief stands for."""

    def target(self, state: S, clean: Tensor, t: Float[Tensor, " rows"]) -> Tensor:
        """What the network should predict."""
        return self.from_clean(state, clean, t)

    def drawn(
        self,
        state: S,
        prediction: Tensor,
        t: Float[Tensor, " rows"],
        number: Float[Tensor, "rows 1"],
    ) -> Tensor:
        """A datum that the prediction implies, by default the clean estimate.

        Args:
            state: At t.
            prediction: Of the network.
            t: Times.
            number: Standard normal, for those that choose by chance.
        """
        return self.clean(state, prediction, t)
