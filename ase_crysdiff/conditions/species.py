"""Which species may occur where, and which must occur."""

from dataclasses import dataclass

import torch

from ase_crysdiff.conditions.base import Condition, Denoise
from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction
from ase_crysdiff.shapes import Bool, Int, Tensor


@dataclass(frozen=True)
class AllowedSpecies(Condition):
    """Every row takes one of its allowed classes: forbidden ones lose their probability in each
    clean estimate.

    The last step draws from the clean estimate alone, so the result obeys exactly. Rows of one
    crystal are exchangeable; forbidding vacancies in n of them and atoms in the others therefore
    conditions on n atoms.

    Args:
        allowed: Allowed classes, shape (rows, classes); every row needs at least one.
    """

    allowed: Bool[Tensor, "rows classes"]

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        def masked(state: NoisyState, t: float) -> Prediction:
            prediction = denoise(state, t)
            logits = prediction["species"].masked_fill(~self.allowed, -torch.inf)
            return {**prediction, "species": logits}

        return masked


@dataclass(frozen=True)
class KnownElements(Condition):
    """Rows whose element is known, should they be atoms: it inherits the probability of all
    elements.

    Whether a row is an atom at all remains the network's decision. Forbidding the other elements
    instead would all but forbid the atom: of the probability that the row is an atom, a network
    that does not know yet which element it will be gives any single one a hundredth.

    Args:
        elements: Class that each row has if it is an atom; `VACANCY` leaves the row alone, shape
            (rows,).
    """

    elements: Int[Tensor, " rows"]

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        def pooled(state: NoisyState, t: float) -> Prediction:
            prediction = denoise(state, t)
            logits = prediction["species"]
            atom = logits.index_fill(-1, torch.tensor([VACANCY], device=logits.device), -torch.inf)
            own = torch.full_like(logits, -torch.inf)
            own.scatter_(-1, self.elements[:, None], torch.logsumexp(atom, -1, keepdim=True))
            own[:, VACANCY] = logits[:, VACANCY]
            return {
                **prediction,
                "species": torch.where((self.elements == VACANCY)[:, None], logits, own),
            }

        return pooled


@dataclass(frozen=True)
class RequiredSpecies(Condition):
    """Every crystal holds at least one atom of each required class.

    For rows that are independent given the noisy state, Bayes' rule gives the probability that row
    i is of class e, given that some row is: p_i(e) / (1 - Π_j (1 - p_j(e))). The other classes of
    the row share the rest as before. The steps of a long plan make this nearly exact; the last draw
    may still miss a class, which the caller has to check.

    Args:
        required: Classes that must occur.
    """

    required: tuple[int, ...]

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        def shifted(state: NoisyState, t: float) -> Prediction:
            prediction = denoise(state, t)
            p = torch.softmax(prediction["species"].double(), -1)
            for species in self.required:
                own = p[:, species]
                absent = torch.zeros(layout.num_crystals, dtype=p.dtype, device=p.device)
                absent.index_add_(0, layout.batch_index, torch.log1p(-own.clamp_max(1 - 1e-9)))
                present = -torch.expm1(absent)[layout.batch_index]
                given = (own / present.clamp_min(1e-300)).clamp(0, 1)
                rest = (1 - given) / (1 - own).clamp_min(1e-9)
                p = p * rest[:, None]
                p[:, species] = given
            logits = p.clamp_min(1e-30).log().to(prediction["species"].dtype)
            # What was impossible stays impossible: a floor on p must not undo a mask.
            logits = logits.masked_fill(torch.isneginf(prediction["species"]), -torch.inf)
            return {**prediction, "species": logits}

        return shifted
