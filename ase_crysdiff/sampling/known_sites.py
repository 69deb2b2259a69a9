"""Where the atoms of new crystals may lie: on the sites of known ones, and on a few more."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ase_crysdiff.prototypes.library import Library
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.scaffolds import decisions, with_labels
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.spare_sites import spare_sites
from ase_crysdiff.symmetry.tables import LETTERS, Floats

#: Known crystals lie at most so far above the hull where there are such, eV/atom; of many nobody
#: knows.
_ENERGY = 0.03
#: Wishes whose odds are remembered.
_REMEMBERED = 256


class KnownSites:
    """Draws space groups and sites as often as the crystals of a library have them. Sites may stay
    empty, as the model that fills them decides; of its spare ones as many are added as in its
    training.

    Args:
        library: Known crystals.
        max_atoms: Of the largest of them that is drawn.
        spare: Odds of 0, 1, 2, … further sites.
        room: Atoms of a primitive cell with all sites occupied.
    """

    def __init__(self, library: Library, max_atoms: int, spare: Sequence[float], room: int) -> None:
        self.library, self.max_atoms, self.spare, self.room = library, max_atoms, spare, room
        self._sums = lru_cache(maxsize=_REMEMBERED)(self._summed)

    def scaffold(self, task: DeNovo, group: int | None, stream: Streams) -> Scaffold | None:
        """Sites for one new crystal, whose elements are labels, all different; None if no known
        crystal has sites for what is asked.

        Args:
            task: What is asked for: a number of atoms fills all sites, a chemical system needs as
                many sites as elements.
            group: Number of a wished space group.
            stream: Random numbers of the crystal.
        """
        least = len(task.chemical_system or ())
        sums = self._sums(group, task.num_atoms, least)
        if not sums[-1]:
            return None
        draw = decisions(stream)
        row = int(np.searchsorted(sums, draw() * sums[-1], "right"))
        known = self.library.scaffold(row)
        letters = [LETTERS.index(letter) for _, letter in known.sites]
        if task.num_atoms is None:
            letters += spare_sites(known.group, letters, self.spare, self.room, draw)
        return with_labels(known.group, [LETTERS[letter] for letter in letters])

    def _summed(self, group: int | None, num_atoms: int | None, least: int) -> Floats:
        """Sums of the weights of all crystals up to each; the last is 0 if none will do."""
        library = self.library
        able = library.num_atoms <= self.max_atoms
        if num_atoms is not None:
            able &= library.num_atoms == num_atoms
        if group is not None:
            able &= library.group == group
        if least:
            able &= library.num_sites >= least
        near = able & ~(library.energy > _ENERGY)
        return np.cumsum(near if near.any() else able, dtype=np.float64)
