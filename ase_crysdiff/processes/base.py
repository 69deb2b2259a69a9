"""A process: one law of noise on one kind of space."""

from abc import ABC, abstractmethod

from ase_crysdiff.randomness import Draws
from ase_crysdiff.shapes import Float, Tensor


def per_row(values: Float[Tensor, " rows"], like: Tensor) -> Tensor:
    """One number per row, shaped to broadcast against `like`."""
    return values.view(-1, *[1] * (like.dim() - 1))


class Process(ABC):
    """How noise acts on rows of numbers, and how it is taken away again. Knows no crystals and has
    no state.

    Times are tensors with one value per row, 0 = data, 1 = prior. What the network is trained to
    predict is private to the process; everybody else speaks of the clean estimate through `clean`
    and `from_clean`, which invert each other.
    """

    #: Numbers per row that the network predicts.
    width: int

    @abstractmethod
    def prior(self, draws: Draws) -> Tensor:
        """A state at t = 1."""

    @abstractmethod
    def corrupt(self, clean: Tensor, t: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """A noisy state at t and what the network should predict for it."""

    @abstractmethod
    def reverse(
        self, value: Tensor, prediction: Tensor, t: Tensor, s: Tensor, draws: Draws
    ) -> Tensor:
        """A state at s < t, drawn from the reverse kernel."""

    @abstractmethod
    def clean(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The estimate of the clean state that a prediction implies."""

    @abstractmethod
    def from_clean(self, value: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        """The prediction that implies a clean estimate."""

    @abstractmethod
    def renoise(self, value: Tensor, s: Tensor, t: Tensor, draws: Draws) -> Tensor:
        """A state at t > s, drawn from the forward kernel that leads there from `value` at s."""

    def loss(
        self, prediction: Tensor, target: Tensor, value: Tensor, t: Tensor
    ) -> Float[Tensor, " rows"]:
        """Loss per row; the mean squared error unless a process says otherwise."""
        return ((prediction - target) ** 2).flatten(1).mean(1)

    def correct(
        self, value: Tensor, prediction: Tensor, t: Tensor, size: float, draws: Draws
    ) -> Tensor:
        """One corrector step at fixed t; processes without a corrector leave the state alone."""
        return value


class ContinuousProcess(Process):
    """A process whose marginals an ordinary differential equation carries from noise to data as
    well.

    Each process writes its equation in the coordinates in which the way from a single datum to its
    noise is straight, so that `slope` is constant there and one Euler step of any length is exact.
    Source: Song et al. 2021, section 4.3; Karras et al. 2022, section 3 (straightness).
    """

    @abstractmethod
    def slope(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The tangent that a prediction implies."""

    @abstractmethod
    def advance(self, value: Tensor, slope: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The state at s < t, along a tangent."""
