"""Orders in which buckets of crystals of one shape are seen: functions of seed and epoch alone."""

from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch

from ase_crysdiff.randomness import epoch_generator
from ase_crysdiff.shapes import Tensor


def expected_once(
    counts: Sequence[int], batch_sizes: Sequence[int], seed: int, epoch: int, world_size: int = 1
) -> Iterator[tuple[int, Tensor]]:
    """Bucket and rows of every batch of one epoch, for shapes that repeat.

    Every crystal is expected once: a bucket gives a whole number of full batches, its fraction of
    one more by chance.

    Args:
        counts: Crystals of each bucket.
        batch_sizes: Crystals of a batch of each bucket, for one process.
        seed: Of the training.
        epoch: Its number.
        world_size: Processes that share every batch.
    """
    generator = epoch_generator(seed, epoch)
    plan: list[tuple[int, Tensor]] = []
    for number, (count, size) in enumerate(zip(counts, batch_sizes, strict=True)):
        whole = size * world_size
        batches = int(count / whole + torch.rand(1, generator=generator).item())
        order = torch.randperm(count, generator=generator)
        order = order.repeat(-(-batches * whole // count) or 1)[: batches * whole]
        plan += [(number, order[k : k + whole]) for k in range(0, len(order), whole)]
    for place in torch.randperm(len(plan), generator=generator).tolist():
        yield plan[place]


@runtime_checkable
class Bucket(Protocol):
    """Members of one shape, stacked."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def select(self, rows: Tensor) -> Any:
        """Those at these rows."""
        ...


B = TypeVar("B", bound=Bucket)


class Buckets(Generic[B]):
    """A set whose batches hold every member once in an epoch; the last of a bucket is smaller.

    Args:
        buckets: Members by shape.
        batch_size: Of one process.
        left_out: What could not be used.
    """

    def __init__(self, buckets: Sequence[B], batch_size: int, left_out: int) -> None:
        self.buckets, self.batch_size, self.left_out = list(buckets), batch_size, left_out

    def __len__(self) -> int:
        return sum(map(len, self.buckets))

    def epoch(self, seed: int, epoch: int, rank: int = 0, world_size: int = 1) -> Iterator[B]:
        """The batches of one epoch, a function of seed, epoch, rank and processes only."""
        generator = epoch_generator(seed, epoch)
        plan: list[tuple[int, Tensor]] = []
        for number, bucket in enumerate(self.buckets):
            order = torch.randperm(len(bucket), generator=generator)
            plan += [(number, rows) for rows in order.split(self.batch_size * world_size)]
        for place in torch.randperm(len(plan), generator=generator).tolist():
            number, rows = plan[place]
            share = rows[rank::world_size] if len(rows) >= world_size else rows
            yield self.buckets[number].select(share)

    def everything(self) -> Iterator[B]:
        """Every member once, in order, for validation."""
        for bucket in self.buckets:
            for rows in torch.arange(len(bucket)).split(self.batch_size):
                yield bucket.select(rows)
