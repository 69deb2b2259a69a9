"""Groups of a molecule: a heavy atom and the hydrogens on it.

The rows of a molecule come group by group, each heavy atom followed by its hydrogens, so that the
order of the rows tells who belongs to whom and nothing else has to be kept. A hydrogen before the
first heavy atom belongs to nobody.
"""

from dataclasses import dataclass

import torch

from ase_crysdiff.shapes import Bool, Int, Tensor

#: What two atoms are to each other: strangers, a heavy atom and a hydrogen on it, two hydrogens on
#: one heavy atom.
RELATIONS = 3
#: Classes of the number of hydrogens on an atom: 0 to 4.
HYDROGENS = 5


@dataclass(frozen=True)
class Groups:
    """Who belongs to whom in molecules of equal size.

    Args:
        centre: Row of the heavy atom of each row's group; its own where there is none.
        hydrogens: How many hydrogens the group has.
        alike: Whether two rows are of one group.
    """

    centre: Int[Tensor, "count size"]
    hydrogens: Int[Tensor, "count size"]
    alike: Bool[Tensor, "count size size"]

    @staticmethod
    def of(species: Int[Tensor, "count size"]) -> "Groups":
        """The groups of molecules.

        Args:
            species: Atomic numbers, group by group.
        """
        is_heavy = species > 1
        number = is_heavy.long().cumsum(1)
        rows = torch.arange(species.shape[1], device=species.device).expand_as(species)
        lonely = ~is_heavy & (number == 0)
        centre = torch.where(is_heavy | lonely, rows, 0).cummax(1).values
        alike = (centre.unsqueeze(1) == centre.unsqueeze(2)) & (
            ~(lonely.unsqueeze(1) | lonely.unsqueeze(2))
        )
        hydrogens = (alike & ~is_heavy.unsqueeze(1)).sum(-1).clamp_max(HYDROGENS - 1)
        return Groups(centre, hydrogens, alike)
