"""Which species may occur where, and which must occur."""

from dataclasses import dataclass

import torch

from ase_crysdiff.conditions.base import Estimating
from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.shapes import Bool, Int, Tensor


@dataclass(frozen=True)
class AllowedSpecies(Estimating):
    """Every row takes one of its allowed classes: forbidden ones lose their probability in each
    clean estimate.

    The last step draws from the clean estimate alone, so the result obeys exactly. Rows of one
    crystal are exchangeable; forbidding vacancies in n of them and atoms in the others therefore
    conditions on n atoms.

    Args:
        allowed: Allowed classes, shape (rows, classes); every row needs at least one.
    """

    allowed: Bool[Tensor, "rows classes"]
    component = "species"

    def estimate(self, clean: Tensor, t: float, layout: Layout) -> Tensor:
        return clean.masked_fill(~self.allowed, -torch.inf)


@dataclass(frozen=True)
class KnownElements(Estimating):
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
    component = "species"

    def estimate(self, clean: Tensor, t: float, layout: Layout) -> Tensor:
        vacancy = torch.tensor([VACANCY], device=clean.device)
        atom = clean.index_fill(-1, vacancy, -torch.inf)
        own = torch.full_like(clean, -torch.inf)
        own.scatter_(-1, self.elements[:, None], torch.logsumexp(atom, -1, keepdim=True))
        own[:, VACANCY] = clean[:, VACANCY]
        return torch.where((self.elements == VACANCY)[:, None], clean, own)


@dataclass(frozen=True)
class RequiredSpecies(Estimating):
    """Every crystal holds at least one atom of each required class.

    For rows that are independent given the noisy state, Bayes' rule gives the probability that row
    i is of class e, given that some row is: p_i(e) / (1 - Π_j (1 - p_j(e))). The other classes of
    the row share the rest as before. The steps of a long plan make this nearly exact; the last draw
    may still miss a class, which the caller has to check.

    Args:
        required: Classes that must occur.
    """

    required: tuple[int, ...]
    component = "species"

    def estimate(self, clean: Tensor, t: float, layout: Layout) -> Tensor:
        p = torch.softmax(clean.double(), -1)
        for species in self.required:
            own = p[:, species]
            absent = torch.zeros(layout.num_crystals, dtype=p.dtype, device=p.device)
            absent.index_add_(0, layout.batch_index, torch.log1p(-own.clamp_max(1 - 1e-9)))
            present = -torch.expm1(absent)[layout.batch_index]
            given = (own / present.clamp_min(1e-300)).clamp(0, 1)
            rest = (1 - given) / (1 - own).clamp_min(1e-9)
            p = p * rest[:, None]
            p[:, species] = given
        # What was impossible stays impossible: a floor on p must not undo a mask.
        return (
            p.clamp_min(1e-30).log().to(clean.dtype).masked_fill(torch.isneginf(clean), -torch.inf)
        )
