"""How well is a hidden element told: by the masked model, by frequency, by near elements?

Every element of every target crystal is hidden once; the others are shown. Compared are nats per
element, and how often the right one is the likeliest and among the likeliest five, means over the
parts of each crystal, then over crystals:

- frequency: elements of the same part of the same prototype in the library;
- exchange: the same, each element exchanged with the odds exp(-distance/temperature);
- vote: the same, crystals of the library counting by how near their other elements are;
- site-elements, with geometry and without it.

    python experiments/site_elements.py --library train.safetensors --targets val.safetensors

Both files are packed with `crysdiff pack --symmetry`.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.models.site_elements import SITE_ELEMENTS, load_exchange
from ase_crysdiff.networks.site_elements.batch import PartBatch
from ase_crysdiff.networks.site_elements.network import HIDDEN, UNKNOWN, present
from ase_crysdiff.networks.site_elements.parts import Parts, parts_of
from ase_crysdiff.networks.species_embeddings import NUM_ELEMENTS
from ase_crysdiff.prototypes.distance import element_distance

#: Crystals with more sites or elements are left out, as in the training.
MAX_SITES, MAX_PARTS = 24, 8
#: How many crystals by the elements' overall frequency are added to those of the library.
PRIOR = 3.0


def parts_in(path: Path, geometry: bool) -> list[Parts]:
    """The crystals of a packed file that have two elements or more."""
    packed = PackedCrystals.load_symmetric(path).scaffolds
    assert packed is not None
    found = []
    for index in range(len(packed)):
        scaffold = packed.scaffold(index)
        if len(scaffold.sites) <= MAX_SITES and 2 <= len(scaffold.counts) <= MAX_PARTS:
            found.append(parts_of(packed.crystal(index) if geometry else scaffold))
    return found


def slots(crystal: Parts) -> Iterator[tuple[tuple, int, tuple[int, ...]]]:
    """For each part the prototype and the part's place in it, its element, and the others'."""
    kinds = [
        (int(count), tuple(sorted(crystal.rows[crystal.part == k].tolist())))
        for k, count in enumerate(crystal.counts)
    ]
    for k, element in enumerate(crystal.elements):
        others = sorted((kinds[j], z) for j, z in enumerate(crystal.elements) if j != k)
        yield (
            (crystal.group, kinds[k], tuple(kind for kind, _ in others)),
            element,
            tuple(z for _, z in others),
        )


class Counted:
    """What the library says of a part: elements there, by those of the other parts."""

    def __init__(self, crystals: list[Parts]) -> None:
        found: defaultdict[tuple, list[tuple[int, ...]]] = defaultdict(list)
        for crystal in crystals:
            for key, element, others in slots(crystal):
                found[key].append((element, *others))
        self.rows = {key: np.array(rows) for key, rows in found.items()}
        everything = np.concatenate([rows[:, 0] for rows in self.rows.values()])
        self.frequency = np.bincount(everything, minlength=NUM_ELEMENTS) / len(everything)
        index = [np.full(len(rows), 0) for rows in self.rows.values()]
        self.distance = element_distance(zip(index, self.rows.values(), strict=True))
        self.distance = self.distance[:NUM_ELEMENTS, :NUM_ELEMENTS]

    def chances(
        self, key: tuple, others: tuple[int, ...], temperature: float, reach: float
    ) -> np.ndarray:
        """Of each element; temperature 0 exchanges nothing, an infinite reach lets all count."""
        rows = self.rows.get(key)
        if rows is None:
            return self.frequency
        far = self.distance[rows[:, 1:], np.array(others)].sum(1)
        counted = np.bincount(rows[:, 0], np.exp(-far / reach), NUM_ELEMENTS)
        if temperature:
            odds = np.exp(-self.distance / temperature)
            odds[:, 0] = odds[0] = 0
            counted = counted @ (odds / np.maximum(odds.sum(1, keepdims=True), 1e-300))
        prior = PRIOR if np.isinf(reach) else 0.01
        return counted + prior * self.frequency


def score(
    crystals: list[Parts], chances: Callable[[Parts], Iterator[np.ndarray]]
) -> dict[str, float]:
    """Nats, and shares of right answers at rank 1 and 5."""
    found = []
    for crystal in crystals:
        told = []
        for k, row in enumerate(chances(crystal)):
            others = [z for j, z in enumerate(crystal.elements) if j != k]
            odds = row + 1e-9 / NUM_ELEMENTS
            odds[[HIDDEN, *others]] = 0
            own = odds[crystal.elements[k]] / odds.sum()
            rank = int((odds / odds.sum() > own).sum())
            told.append((-np.log(own), rank < 1, rank < 5))
        found.append(np.mean(told, 0))
    return dict(zip(("nats", "top1", "top5"), np.mean(found, 0).round(3).tolist(), strict=True))


def by_network(name: str) -> Callable[[Parts], Iterator[np.ndarray]]:
    """The masked model, which is told nothing of the energy."""
    network = load_exchange(name).network

    @torch.no_grad()
    def chances(crystal: Parts) -> Iterator[np.ndarray]:
        size = len(crystal.elements)
        shown = torch.tensor([crystal.elements] * size).fill_diagonal_(HIDDEN)
        batch = PartBatch.of([crystal] * size)
        logits = network(batch, shown, torch.full((size,), UNKNOWN))
        logits = logits.masked_fill(present(shown).unsqueeze(1), -torch.inf)
        yield from logits[range(size), range(size)].softmax(-1).double().numpy()

    return chances


def main() -> None:
    """Prints a table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--targets", type=Path, required=True)
    parser.add_argument("--weights", default=SITE_ELEMENTS)
    options = parser.parse_args()
    targets = parts_in(options.targets, geometry=True)
    counted = Counted(parts_in(options.library, geometry=False))
    kinds = {"frequency": (0.0, np.inf), "exchange": (0.1, np.inf), "vote": (0.1, 0.2)}
    for name, (temperature, reach) in kinds.items():
        found = score(
            targets,
            lambda c, t=temperature, r=reach: (
                counted.chances(key, others, t, r) for key, _, others in slots(c)
            ),
        )
        print(json.dumps({"by": name, **found}), flush=True)
    network = by_network(options.weights)
    print(json.dumps({"by": "site-elements", **score(targets, network)}), flush=True)
    blind = parts_in(options.targets, geometry=False)
    print(json.dumps({"by": "site-elements, no geometry", **score(blind, network)}))


if __name__ == "__main__":
    main()
