"""Where random numbers come from: an explicit generator in training, counter-based streams in
sampling.

A sampled crystal must not depend on the batch or the worker that it was drawn in. Its random
numbers are therefore a pure function of (seed, crystal index, attempt, purpose, step), drawn from
Philox, a counter-based generator (Salmon et al., SC 2011): the first two are its key, the others
its counter.
"""

import secrets
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.constants import MAX_SEED as MAX_SEED
from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Float, Tensor


def new_seed() -> int:
    """A seed that nobody can foretell, 0 to 2^63 - 1."""
    return secrets.randbelow(MAX_SEED)


@runtime_checkable
class RandomStream(Protocol):
    """Random numbers for a fixed number of rows."""

    def normal(self, width: int) -> Float[Tensor, "rows width"]:
        """Independent standard normals, shape (rows, width)."""
        ...

    def uniform(self, width: int) -> Float[Tensor, "rows width"]:
        """Independent numbers in [0, 1), shape (rows, width)."""
        ...


@dataclass(frozen=True)
class GeneratorStream:
    """Random numbers from one `torch.Generator`: fast, for training and for tests."""

    rows: int
    generator: torch.Generator
    dtype: torch.dtype = torch.float32

    def normal(self, width: int) -> Float[Tensor, "rows width"]:
        return torch.randn(
            self.rows,
            width,
            generator=self.generator,
            device=self.generator.device,
            dtype=self.dtype,
        )

    def uniform(self, width: int) -> Float[Tensor, "rows width"]:
        return torch.rand(
            self.rows,
            width,
            generator=self.generator,
            device=self.generator.device,
            dtype=self.dtype,
        )


@dataclass(frozen=True)
class Streams:
    """One stream of random numbers per crystal.

    Args:
        seed: Seed of the run, 0 to 2^63 - 1.
        indices: Number of each crystal within the run; a crystal keeps its number in any batch.
        attempts: How often each crystal was drawn before; None means never.
    """

    seed: int
    indices: tuple[int, ...]
    attempts: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if (
            isinstance(self.seed, bool)
            or not isinstance(self.seed, int)
            or not 0 <= self.seed <= MAX_SEED
        ):
            raise InputError(f"seed must be a whole number from 0 to 2^63 - 1, got {self.seed!r}.")
        if self.attempts is not None and len(self.attempts) != len(self.indices):
            raise InputError(
                f"{len(self.indices)} indices need as many attempts, got {len(self.attempts)}."
            )

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, positions: Sequence[int]) -> "Streams":
        """The streams at these positions, in this order."""
        attempts = None if self.attempts is None else tuple(self.attempts[p] for p in positions)
        return Streams(self.seed, tuple(self.indices[p] for p in positions), attempts)

    def pick(
        self, purpose: str, choices: Sequence[int], odds: Sequence[float] | Tensor
    ) -> list[int]:
        """One of the choices for each stream, as often as its odds over their sum say.

        Args:
            purpose: Of the random numbers.
            choices: The same for all streams.
            odds: One row for all streams, or a tensor with a row for each.
        """
        draw = self.rng(purpose, 0, [1] * len(self), torch.device("cpu"), torch.float32).uniform(1)
        if isinstance(odds, Tensor):
            sums = odds.cumsum(-1)
            reached = draw.to(sums.dtype) * sums[:, -1:]
        else:
            sums, reached = torch.tensor(odds).cumsum(0), draw * sum(odds)
        picked = (reached >= sums).sum(1).clamp_max(len(choices) - 1)
        return [choices[i] for i in picked.tolist()]

    def rng(
        self,
        purpose: str,
        step: int,
        rows_per_crystal: Sequence[int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> "CounterStream":
        """Draws for one purpose at one step; crystal i receives `rows_per_crystal[i]` rows."""
        return CounterStream(
            self, zlib.crc32(purpose.encode()), step, tuple(rows_per_crystal), device, dtype
        )


@dataclass(frozen=True)
class CounterStream:
    """The random numbers of several crystals, concatenated."""

    streams: Streams
    purpose: int
    step: int
    rows_per_crystal: tuple[int, ...]
    device: torch.device
    dtype: torch.dtype

    def normal(self, width: int) -> Float[Tensor, "rows width"]:
        return self._collect(
            lambda generator, shape: generator.standard_normal(shape, np.float32), width
        )

    def uniform(self, width: int) -> Float[Tensor, "rows width"]:
        return self._collect(lambda generator, shape: generator.random(shape, np.float32), width)

    def _collect(
        self,
        draw: Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float32]],
        width: int,
    ) -> Tensor:
        streams = self.streams
        attempts = streams.attempts or (0,) * len(streams)
        parts = [
            draw(
                np.random.Generator(
                    np.random.Philox(
                        key=np.array([streams.seed, index], np.uint64),
                        counter=np.array([0, self.step, self.purpose, attempt], np.uint64),
                    )
                ),
                (rows, width),
            )
            for index, attempt, rows in zip(
                streams.indices, attempts, self.rows_per_crystal, strict=True
            )
        ]
        values = np.concatenate(parts) if parts else np.zeros((0, width), np.float32)
        return torch.from_numpy(values).to(device=self.device, dtype=self.dtype)


#: What a seed is multiplied with before the first and the second number are added.
_MULTIPLIERS = (1_000_003, 1_009)


def mixed_seed(seed: int, *numbers: int) -> int:
    """The seed of one epoch, or of one step of one process, from the seed of a whole training.

    Args:
        seed: Of the training.
        numbers: One number (the epoch) or two (the step and the rank of the process).

    Returns:
        ((seed · 1000003 + first) · 1009 + second) modulo 2^63, without the second part for one
        number.
    """
    for multiplier, number in zip(_MULTIPLIERS[: len(numbers)], numbers, strict=True):
        seed = seed * multiplier + number
    return seed % 2**63


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The generator, on the CPU, that orders the data of an epoch of a training."""
    return torch.Generator().manual_seed(mixed_seed(seed, epoch))
