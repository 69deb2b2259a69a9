"""A process: one law of noise on one kind of space."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.shapes import Float, Tensor


def per_row(values: Float[Tensor, " rows"], like: Tensor) -> Tensor:
    """One number per row, shaped to broadcast against `like`."""
    return values.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class ComponentState:
    """The noisy state of one component whose process keeps more than the noisy value.

    Args:
        value: What networks read as the noisy value, one row per crystal, atom or free number.
        auxiliaries: What else the process keeps, by name, each with the rows of `value`; a Bayesian
            flow keeps the accuracy of its belief.
    """

    value: Tensor
    auxiliaries: Mapping[str, Tensor] = field(default_factory=dict)

    def with_value(self, value: Tensor) -> "ComponentState":
        """Another value beside the same auxiliaries."""
        return replace(self, value=value)


#: What a process takes for the state of its rows: a plain tensor, or a `ComponentState`.
S = TypeVar("S", Tensor, ComponentState)


class Process(ABC, Generic[S]):
    """How noise acts on rows of numbers, and how it is taken away again. Knows no crystals.

    A process is parametrised by what it keeps for its rows: `Process[Tensor]` a noisy value alone,
    `Process[ComponentState]` a value with auxiliaries.

    Times are tensors with one value per row, 0 = data, 1 = prior. What the network is trained to
    predict is private to the process; everybody else speaks of the clean estimate through `clean`
    and `from_clean`, which invert each other. The clean estimate of a process on numbers is a point
    of their space; that of a process on classes is the logarithm of the probability of each class,
    up to one number per row.
    """

    #: Numbers per row that the network predicts.
    width: int

    @abstractmethod
    def prior(self, rng: RandomStream) -> S:
        """A state at t = 1."""

    @abstractmethod
    def corrupt(self, clean: Tensor, t: Tensor, rng: RandomStream) -> tuple[S, Tensor]:
        """A noisy state at t and what the network should predict for it."""

    @abstractmethod
    def reverse(self, value: S, prediction: Tensor, t: Tensor, s: Tensor, rng: RandomStream) -> S:
        """A state at s < t, drawn from the reverse kernel."""

    @abstractmethod
    def clean(self, value: S, prediction: Tensor, t: Tensor) -> Tensor:
        """The estimate of the clean state that a prediction implies."""

    @abstractmethod
    def from_clean(self, value: S, clean: Tensor, t: Tensor) -> Tensor:
        """The prediction that implies a clean estimate."""

    @abstractmethod
    def renoise(self, value: S, s: Tensor, t: Tensor, rng: RandomStream) -> S:
        """A state at t > s, drawn from the forward kernel that leads there from `value` at s."""

    def scales(self, t: float) -> tuple[float, float] | None:
        """Factor of the data and standard deviation of the noise in a state at t.

        None where a state is no sum of data and noise, as on classes.
        """
        return None

    def blend(self, first: Tensor, second: Tensor, weight: float) -> Tensor:
        """The clean estimate `weight` of the way from the first to the second; above 1 beyond it.

        Along straight lines, unless a space has others; for classes that is the product of powers
        of their probabilities.
        """
        return first + weight * (second - first)

    def loss(
        self, prediction: Tensor, target: Tensor, value: S, t: Tensor
    ) -> Float[Tensor, " rows"]:
        """Loss per row; the mean squared error unless a process says otherwise."""
        return ((prediction - target) ** 2).flatten(1).mean(1)

    def correct(self, value: S, prediction: Tensor, t: Tensor, size: float, rng: RandomStream) -> S:
        """One corrector step at fixed t; processes without a corrector leave the state alone."""
        return value


class ContinuousProcess(Process[Tensor]):
    """A process whose marginals an ordinary differential equation carries from noise to data.

    Each process writes its equation in the coordinates in which the way from a single datum to its
    noise is straight, so that `velocity` is constant there and one Euler step is exact.
    Source: Song et al. 2021, section 4.3; Karras et al. 2022, section 3 (straightness).
    """

    @abstractmethod
    def velocity(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The tangent that a prediction implies."""

    @abstractmethod
    def ode_step(self, value: Tensor, velocity: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The state at s < t, along a tangent."""
