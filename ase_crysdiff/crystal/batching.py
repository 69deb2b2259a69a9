"""Crystals grouped so that what is computed together fits the memory."""

from collections.abc import Sequence


def runs_of_size(sizes: Sequence[int], max_size: int, max_items: int | None = None) -> list[range]:
    """Consecutive runs whose sizes add up to at most a limit; what is larger has a run of its own.
    The runs depend on nothing but the sizes. To have crystals of similar size together, sort first.

    Args:
        sizes: Of each item, such as its number of atoms.
        max_size: Largest sum of a run.
        max_items: Largest number of items of a run; None for any.

    Returns:
        Positions of each run, in order.

    >>> runs_of_size([3, 3, 9, 1, 1], 7)
    [range(0, 2), range(2, 3), range(3, 5)]
    """
    runs: list[range] = []
    start, total = 0, 0
    for position, size in enumerate(sizes):
        is_full = total + size > max_size or position - start == max_items
        if position > start and is_full:
            runs.append(range(start, position))
            start, total = position, 0
        total += size
    if start < len(sizes):
        runs.append(range(start, len(sizes)))
    return runs
