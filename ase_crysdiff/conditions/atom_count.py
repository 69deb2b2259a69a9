"""How likely each number of atoms is, where vacancies leave it free."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Estimating
from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class AtomCountPrior(Estimating):
    """Multiplies the probability of every number of atoms n by weights[n].

    Given the noisy state the slots of a crystal are independent, so n follows a Poisson binomial
    law, and Bayes' rule gives the probability that slot i is an atom under the tilted law: a_i
    E[w(1 + m)] against (1 - a_i) E[w(m)], m being the number of atoms in the other slots.
    Elements keep their shares among the atoms of a slot. The slots draw independently, so a weight
    of zero makes a number rare, not impossible.

    Args:
        weights: For n = 0, 1, …; missing entries are zero, at least one must be positive.

    Raises:
        InputError: If no weight is positive, or one is negative or not finite.
    """

    weights: Sequence[float]
    component = "species"

    def __post_init__(self) -> None:
        for weight in self.weights:
            arguments.not_negative("Each of the weights", weight)
        if not any(self.weights):
            raise InputError(f"One of the weights must be positive, got {list(self.weights)}.")

    def estimate(self, clean: Tensor, t: float, layout: Layout) -> Tensor:
        before = torch.log_softmax(clean.double(), -1)
        vacant = before[:, VACANCY].exp()
        atom = torch.cat([self._atoms(block.view(vacant)).flatten() for block in layout.blocks])
        after = before + (atom.clamp_min(1e-12) / (1 - vacant).clamp_min(1e-12)).log()[:, None]
        after[:, VACANCY] = (1 - atom).clamp_min(1e-12).log()
        # What was impossible stays impossible: a floor must not undo a mask.
        return after.masked_fill(torch.isneginf(clean), -torch.inf).to(clean.dtype)

    def _atoms(self, vacant: Float[Tensor, "count size"]) -> Float[Tensor, "count size"]:
        """Probability that each slot is an atom, from the probabilities that it is vacant."""
        count, size = vacant.shape
        # Law of the number of atoms in the other slots.
        others = vacant.new_zeros(count, size, size)
        others[..., 0] = 1
        skip = torch.eye(size, dtype=torch.bool, device=vacant.device)
        for i in range(size):
            empty = vacant[:, i, None, None]
            added = others * empty
            added[..., 1:] += others[..., :-1] * (1 - empty)
            others = torch.where(skip[i][:, None], others, added)
        weights = vacant.new_zeros(size + 1)
        given = vacant.new_tensor(list(self.weights)[: size + 1])
        weights[: len(given)] = given
        one_more, as_many = (others * weights[1:]).sum(-1), (others * weights[:-1]).sum(-1)
        filled, empty_slot = (1 - vacant) * one_more, vacant * as_many
        total = filled + empty_slot
        # Where the tilted law has no mass at all, the network's own answer stays.
        return torch.where(total > 1e-300, filled / total.clamp_min(1e-300), 1 - vacant)
