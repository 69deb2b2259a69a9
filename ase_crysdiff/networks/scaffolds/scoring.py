"""How likely given scaffolds are: all decisions of many scaffolds at once."""

from collections.abc import Sequence

import numpy as np
import torch

from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.frontier import Readers, Wish, log_shares
from ase_crysdiff.networks.scaffolds.partial import check_elements
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.symmetry.decisions import Decisions, decisions_of, ordered
from ase_crysdiff.symmetry.scaffold import Scaffold

#: Scaffolds that are read at once.
_CHUNK = 128


def log_probabilities(
    model: ScaffoldModel, scaffolds: Sequence[Scaffold], wish: Wish
) -> Float[np.ndarray, " scaffolds"]:
    """Logarithms of the probabilities of descriptions, each given its composition, nats.

    Args:
        model: In evaluation mode.
        scaffolds: As they are described: another description has another probability.
        wish: What is wished. A scaffold of another group has the probability 0.

    Raises:
        InputError: If a scaffold has more elements than the model knows places for.
    """
    found = np.zeros(len(scaffolds))
    # Those with about equally many sites come together, so that few empty sites are read.
    sizes = [len(scaffold.sites).bit_length() for scaffold in scaffolds]
    for size in set(sizes):
        rows = [i for i, own in enumerate(sizes) if own == size]
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            found[chunk] = _of_decisions(model, [scaffolds[i] for i in chunk], wish).numpy()
    return found


def _of_decisions(model: ScaffoldModel, scaffolds: Sequence[Scaffold], wish: Wish) -> Tensor:
    pairs = [tuple(ordered(scaffold.counts)) for scaffold in scaffolds]
    for row in pairs:
        check_elements(row)
    batch = Decisions.of([decisions_of(scaffold) for scaffold in scaffolds])
    readers = Readers(model, pairs, wish)
    able = [wish.groups_for(tuple(count for _, count in row)) for row in pairs]
    of_group = _chosen(readers.groups(), torch.from_numpy(np.stack(able)), batch.group)
    before = torch.roll(batch.letters, 1, 1)
    letters = readers.letters(batch.group, before, batch.turn, batch.remaining)
    empty = ~batch.allowed.any(-1)
    of_letters = _chosen(letters, batch.allowed, batch.letters).masked_fill(empty, 0)
    return of_group + of_letters.sum(1)


def _chosen(logits: Tensor, allowed: Tensor, choice: Tensor) -> Tensor:
    """The log-probability of a choice; minus infinity if it is not allowed."""
    taken = choice.unsqueeze(-1)
    possible = allowed.gather(-1, taken)
    # The choice itself is let through, or there might be nothing to divide the probability among.
    logs = log_shares(logits, allowed.scatter(-1, taken, True)).gather(-1, taken)
    return logs.masked_fill(~possible, -torch.inf).squeeze(-1)
