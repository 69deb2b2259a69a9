"""How likely each number of atoms is, where vacancies leave it free."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ase_crysdiff.conditions.base import Condition, Denoise
from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class AtomCountOdds(Condition):
    """Multiplies the probability of every number of atoms n by odds[n].

    Given the noisy state the slots of a crystal are independent, so n follows a Poisson binomial
    law, and Bayes' rule gives the probability that slot i is an atom under the tilted law: a_i
    E[odds(1 + m)] against (1 - a_i) E[odds(m)], m being the number of atoms in the other slots.
    Elements keep their shares among the atoms of a slot. The slots draw independently, so odds of
    zero make a number rare, not impossible.

    Args:
        odds: For n = 0, 1, …; missing entries are zero, at least one must be positive.

    Raises:
        InputError: If no odds are positive, or one is negative.
    """

    odds: Sequence[float]

    def __post_init__(self) -> None:
        if not any(x > 0 for x in self.odds) or any(x < 0 for x in self.odds):
            raise InputError(
                f"odds must not be negative, and one must be positive, got {list(self.odds)}."
            )

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        def tilted(state: NoisyState, t: float) -> Prediction:
            prediction = denoise(state, t)
            before = torch.log_softmax(prediction["species"].double(), -1)
            parts = [
                self._atoms(block.view(before[:, VACANCY].exp())).flatten()
                for block in layout.blocks
            ]
            atom = torch.cat(parts)
            vacant = before[:, VACANCY].exp()
            after = before + (atom.clamp_min(1e-12) / (1 - vacant).clamp_min(1e-12)).log()[:, None]
            after[:, VACANCY] = (1 - atom).clamp_min(1e-12).log()
            # What was impossible stays impossible: a floor must not undo a mask.
            after = after.masked_fill(torch.isneginf(prediction["species"]), -torch.inf)
            return {**prediction, "species": after.to(prediction["species"].dtype)}

        return tilted

    def _atoms(self, vacant: Float[Tensor, "count size"]) -> Float[Tensor, "count size"]:
        """Probability that each slot is an atom, from the probabilities that it is vacant."""
        count, size = vacant.shape
        others = vacant.new_zeros(
            count, size, size
        )  # law of the number of atoms in the other slots
        others[..., 0] = 1
        skip = torch.eye(size, dtype=torch.bool, device=vacant.device)
        for i in range(size):
            empty = vacant[:, i, None, None]
            added = others * empty
            added[..., 1:] += others[..., :-1] * (1 - empty)
            others = torch.where(skip[i][:, None], others, added)
        odds = vacant.new_zeros(size + 1)
        given = vacant.new_tensor(list(self.odds)[: size + 1])
        odds[: len(given)] = given
        one_more, as_many = (others * odds[1:]).sum(-1), (others * odds[:-1]).sum(-1)
        filled, empty_slot = (1 - vacant) * one_more, vacant * as_many
        total = filled + empty_slot
        # Where the tilted law has no mass at all, the network's own answer stays.
        return torch.where(total > 1e-300, filled / total.clamp_min(1e-300), 1 - vacant)
