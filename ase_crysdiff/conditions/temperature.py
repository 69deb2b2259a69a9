"""Sharper or softer choices of a discrete component."""

from dataclasses import dataclass

import torch

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Estimating
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class Temperature(Estimating):
    """Divides the logits of a component: below 1 likely classes become likelier, 1 changes nothing.

    An undertrained network spreads probability over classes that do not belong together; a
    temperature below 1 trades some diversity for consistency. Well known from language models
    (Ackley et al. 1985 for the idea).

    Args:
        temperature: Above 0.
        excluded_classes: Classes that keep their probability; the others are tempered among
            themselves. A vacancy is one class where an atom is many, so without this a low
            temperature empties cells.
        component: Name of the component, one of classes.

    Raises:
        InputError: If the temperature is no finite number above 0, or a class is none.
    """

    temperature: float
    excluded_classes: tuple[int, ...] = ()
    component: str = "species"

    def __post_init__(self) -> None:
        arguments.above_zero("temperature", self.temperature)
        for number in self.excluded_classes:
            arguments.positive("excluded_classes", number, 0)

    def estimate(self, clean: Tensor, t: float, layout: Layout) -> Float[Tensor, "rows classes"]:
        if self.temperature == 1:
            return clean
        if not self.excluded_classes:
            return clean / self.temperature
        excluded = torch.zeros(clean.shape[-1], dtype=torch.bool, device=clean.device)
        excluded[list(self.excluded_classes)] = True
        before = torch.log_softmax(clean, -1)
        rest = before.masked_fill(excluded, -torch.inf)
        share = torch.logsumexp(rest, -1, keepdim=True)
        # A row that is certain of an excluded class has no share to distribute.
        among = torch.log_softmax(
            torch.where(torch.isneginf(share), before, rest / self.temperature), -1
        )
        return torch.where(excluded, before, among + share)
