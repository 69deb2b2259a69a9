"""New crystals as every chemist makes them, without a network: known ones with other elements.

The row that every table of free draws needs: what does no better has learnt no chemistry. Its
prototypes are never new.

Source: the element distance is learnt from exchanges in the library, after Hautier et al. 2011; the
odds of an exchange, exp(-distance / temperature), and its temperature are ours.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.crystal.volume import coefficients, volume_per_atom
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.tables import Floats, Ints

#: Each element is exchanged with this probability, one of them always.
_SHARE = 0.5
#: Elements whose volume in crystals is known, by atomic number.
_SIZED = np.array([z for z in range(1, NUM_SPECIES) if SYMBOLS[z] in coefficients()])


@runtime_checkable
class KnownCrystals(Protocol):
    """Crystals whose elements are exchanged, such as a library of prototypes."""

    #: Of all elements by atomic number, shape (elements + 1, elements + 1).
    distance: Floats

    @property
    def num_atoms(self) -> Ints:
        """Atoms of the primitive cell of each."""
        ...

    def crystal(self, row: int) -> SymmetricCrystal:
        """One of them."""
        ...


class RandomExchange(Sampler):
    """Takes known crystals at random and exchanges elements by their distance.

    Args:
        known: The crystals.
        temperature: Distance at which an exchange is e times rarer.
        max_atoms: Of the primitive cells that are taken.

    Raises:
        InputError: If no crystal is so small, or the temperature is not above 0.
    """

    label = "random-exchange"
    capabilities = Capabilities(tasks=frozenset({DeNovo}))

    def __init__(
        self, known: KnownCrystals, temperature: float = 0.05, max_atoms: int = 20
    ) -> None:
        if not temperature > 0:
            raise InputError(f"temperature must be above 0, got {temperature:g}.")
        self.known, self.temperature = known, temperature
        self.rows = np.flatnonzero(np.asarray(known.num_atoms) <= max_atoms)
        if not len(self.rows):
            raise InputError(f"No known crystal has at most {max_atoms} atoms. Allow more.")

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        cpu = torch.device("cpu")
        draw = streams.rng("template", 0, [1] * len(streams), cpu, torch.float64).uniform(1)
        chosen = self.rows[(draw[:, 0].numpy() * len(self.rows)).astype(int)]
        templates = [self.known.crystal(int(row)) for row in chosen]
        counts = [len(t.scaffold.counts) for t in templates]
        luck = streams.rng("exchange", 0, counts, cpu, torch.float64).uniform(2)
        crystals, scaffolds = [], []
        for template, numbers in zip(templates, luck.split(counts), strict=True):
            elements = self.exchanged(list(template.scaffold.counts), numbers.numpy())
            crystals.append(with_elements(template, elements))
            scaffolds.append(str(template.scaffold.exchanged(elements)))
        return Sampled(CrystalBatch.cat(crystals), {"scaffold": scaffolds})

    def exchanged(self, elements: Sequence[int], luck: Floats) -> dict[int, int]:
        """What takes the place of each element, itself included.

        Args:
            elements: Atomic numbers, all different.
            luck: In [0, 1), whether and for what each is exchanged, shape (elements, 2).
        """
        found = dict(zip(elements, elements, strict=True))
        leaves = (luck[:, 0] < _SHARE) | (luck[:, 0] == luck[:, 0].min())
        for element, (_, choice) in zip(
            np.array(elements)[leaves].tolist(), luck[leaves].tolist(), strict=True
        ):
            free = _SIZED[~np.isin(_SIZED, [*found.values(), *elements])]
            distance = self.known.distance[element, free]
            odds = np.exp((distance.min() - distance) / self.temperature).cumsum()
            found[element] = int(free[np.searchsorted(odds, choice * odds[-1], "right")])
        return found


def with_elements(template: SymmetricCrystal, elements: dict[int, int]) -> CrystalBatch:
    """A crystal with other elements, in a cell of the size that theirs are expected to need.

    Args:
        template: The crystal.
        elements: What takes the place of each element, by atomic number.
    """
    old = template.scaffold.counts
    volumes = []
    for numbers in (old, {elements[z]: n for z, n in old.items()}):
        amounts = {SYMBOLS[z]: n for z, n in numbers.items()}
        volumes.append(volume_per_atom(amounts) if set(amounts) <= set(coefficients()) else None)
    before, after = volumes
    ratio = after / before if before is not None and after is not None else 1.0
    species = torch.tensor([elements[z] for z in template.species.tolist()])
    return CrystalBatch(
        torch.from_numpy(template.scaled(ratio).lattice).float()[None],
        torch.from_numpy(template.frac_coords).float() % 1.0,
        species,
        torch.tensor([len(species)]),
    )
