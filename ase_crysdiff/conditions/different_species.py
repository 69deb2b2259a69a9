"""Elements of one crystal that differ: those of a prototype."""

from collections.abc import Sequence

import torch

from ase_crysdiff.conditions.base import Estimating
from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.joint import JointProcess, NoisyState, StreamFor
from ase_crysdiff.processes.state import replaced
from ase_crysdiff.shapes import Float, Int, Tensor
from ase_crysdiff.symmetry.scaffold import Scaffold


class DifferentSpecies(Estimating):
    """Rows with different labels are of different species within a crystal.

    For labels that are independent given the noisy state, Bayes' rule gives the probability that
    label k is of class e, given that no two labels of the crystal agree: p_k(e) times the sum over
    all ways in which the others take classes that differ from e and from each other. The last step
    draws from the clean estimate alone, so its labels are drawn again, together.

    Args:
        labels: Rows with the same number have one species; no number is in two crystals, and those
            of a later crystal are larger. -1 leaves a row alone. Shape (rows,).
    """

    component = "species"

    def __init__(self, labels: Int[Tensor, " rows"]) -> None:
        self._rows = torch.nonzero(labels >= 0)[:, 0]
        names, self._label = torch.unique(labels[self._rows], return_inverse=True)
        first = self._rows.new_full((len(names),), len(labels))
        #: The first row of each label.
        self._first = first.scatter_reduce(0, self._label, self._rows, "amin")
        self._last: Tensor | None = None

    @staticmethod
    def of(scaffolds: Sequence[Scaffold], layout: Layout) -> "DifferentSpecies":
        """Rows of different elements of a scaffold differ; further rows are left alone."""
        labels = torch.full((layout.total_atoms,), -1, dtype=torch.long)
        start = 0
        for i, (scaffold, size) in enumerate(zip(scaffolds, layout.sizes, strict=True)):
            own = torch.from_numpy(scaffold.species)
            labels[start : start + len(own)] = i * NUM_SPECIES + own
            start += size
        return DifferentSpecies(labels.to(layout.device))

    def estimate(self, clean: Tensor, t: float, layout: Layout) -> Tensor:
        own = clean[self._first]
        p = torch.softmax(own.double(), -1).clamp_min(1e-30)
        self._last = p = p.masked_fill(torch.isneginf(own), 0)
        p = p.clone()
        for chosen, count in self._crystals(layout):
            p[chosen] = given_all_different(p[chosen].unflatten(0, (-1, count))).flatten(0, 1)
        return clean.index_copy(0, self._rows, p.log().to(clean.dtype)[self._label])

    def project(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout, rng: StreamFor
    ) -> NoisyState:
        if s > 0 or self._last is None or state["species"].is_floating_point():
            return state
        numbers = rng("different species", "atom").uniform(1)[self._first, 0].double()
        found = state["species"][self._first].clone()
        for chosen, count in self._crystals(layout):
            p = self._last[chosen].unflatten(0, (-1, count))
            drawn = _drawn_different(p, numbers[chosen].unflatten(0, (-1, count)))
            found[chosen] = drawn.flatten().to(found)
        species = state["species"].index_copy(0, self._rows, found[self._label])
        return replaced(state, "species", species)

    def _crystals(self, layout: Layout) -> list[tuple[Tensor, int]]:
        """The labels of all crystals that have equally many, and how many each has."""
        crystal = layout.batch_index[self._first]
        counts = torch.bincount(crystal, minlength=layout.num_crystals)[crystal]
        return [(counts == count, count) for count in sorted(set(counts.tolist()))]


def _drawn_different(
    p: Float[Tensor, "crystals labels classes"], numbers: Float[Tensor, "crystals labels"]
) -> Int[Tensor, "crystals labels"]:
    """Classes of all labels, drawn one after the other given that they differ.

    Args:
        p: Of labels that are independent.
        numbers: Random numbers in [0, 1).
    """
    p, found = p.clone(), []
    for k in range(p.shape[1]):
        sums = given_all_different(p)[:, k].cumsum(-1)
        place = (sums <= numbers[:, k, None] * sums[:, -1:]).sum(-1).clamp_max(p.shape[-1] - 1)
        found.append(place)
        p[:, k] = torch.nn.functional.one_hot(place, p.shape[-1]).to(p)
    return torch.stack(found, -1)


def given_all_different(p: Float[Tensor, "crystals labels classes"]) -> Tensor:
    """The probabilities of each label's class, given that all labels take different classes.

    The sum over the ways is that of the permanent: class after class, for every set of labels that
    have theirs. All terms are positive, so nothing cancels. Where no way is possible, p stays.

    Args:
        p: Of labels that are independent.

    Returns:
        Of the same shape.
    """
    labels, classes = p.shape[1:]
    sets, label = torch.arange(2**labels, device=p.device), torch.arange(labels, device=p.device)
    has = (sets[:, None] >> label) % 2 == 1
    less = sets[:, None] & ~(1 << label)  # each set without each label

    def ways(order: Sequence[int]) -> Tensor:
        """Before each class and after the last one: the weight of each set of labels."""
        found = [(sets == 0).to(p).expand(len(p), -1)]
        for e in order:
            taken = torch.where(has, found[-1][:, less], 0.0)
            found.append(found[-1] + (taken * p[:, None, :, e]).sum(-1))
        return torch.stack(found)

    before, after = ways(range(classes)), ways(range(classes)[::-1]).flip(0)
    marginals = torch.zeros_like(p)
    for k in range(labels):
        rest = sets[~has[:, k]]
        others = rest.flip(0)  # The sets that hold all labels but k and those of `rest`.
        marginals[:, k] = p[:, k] * (before[:-1][:, :, rest] * after[1:][:, :, others]).sum(-1).T
    whole = before[-1][:, -1, None, None]
    return torch.where(whole > 0, marginals / whole, p)
