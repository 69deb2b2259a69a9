"""A network, a forest and a kernel regression answer together: each where it is good.

Forest and kernel regression read frozen descriptors (`descriptors.describing`) and are fitted in
seconds; with a few hundred labels they often know as much as a fine-tuned network, and err
elsewhere. How much each counts is what validation rows say.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models.card import Card
from ase_crysdiff.models.pretrained import part_of
from ase_crysdiff.predictors.base import Estimates, Predictor
from ase_crysdiff.predictors.descriptors.describing import (
    FORMULAS,
    Described,
    check_digests,
    describe,
)
from ase_crysdiff.predictors.heads.forest import Forest
from ase_crysdiff.predictors.heads.kernel import KernelRidge
from ase_crysdiff.predictors.heads.squash import Squash
from ase_crysdiff.predictors.modules.features import rows
from ase_crysdiff.predictors.network import NetworkPredictor
from ase_crysdiff.shapes import Tensor

Array = NDArray[np.float64]

NETWORK, FOREST, KERNEL = "network", "forest", "kernel"
#: A forest of its own tells how probably a value is 0, where many are.
ZEROS = "zeros"
MODELS = (NETWORK, FOREST, KERNEL)
#: Probability of a value of 0 from which it is said.
_LIKELY = 0.5
#: What the kernel regression reads of a composed module, where there is one.
MODULE = "module"
#: Share of the mean error that is left where all trees agree.
_SURE = 0.1
#: Weights are multiples of one over this.
_STEPS = 10


class AveragedPredictor(Predictor):
    """The weighted mean of several models, taken after the transform of the property.

    Args:
        card: Its config says what counts how much, and on which scale.
        tensors: Of the models, their names before theirs.
        device: Where the network computes.

    Raises:
        CheckpointError: If the card lacks something, or the descriptors rest on other weights.
    """

    def __init__(
        self, card: Card, tensors: Mapping[str, Tensor], device: str | torch.device = "cpu"
    ) -> None:
        super().__init__(card)
        try:
            about = card.config["average"]
            self.weights: dict[str, float] = dict(about["weights"])
            self.squash = Squash(**about["squash"])
            self._typical = float(about["typical"])
            self._by_trees = bool(about.get("by_trees", False))
            self._blocks: Sequence[str] = tuple(about["blocks"])
            self.fill = tensors["fill"].double().numpy()
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"The card of {card.name} lacks what an average needs ({error!r})."
            ) from error
        check_digests(self._blocks, about["digests"], card.name)
        #: Whether what is likelier 0 is answered with 0, and not only remarked upon.
        self.hurdle = bool(about.get("hurdle", False))
        self.tensors, self.transform = dict(tensors), transform_of(about["transform"])
        self.forest = Forest.of_tensors(part_of(tensors, f"{FOREST}."))
        kernel, zeros = (part_of(tensors, f"{name}.") for name in (KERNEL, ZEROS))
        self.kernel = KernelRidge.of_tensors(kernel) if kernel else None
        self.zeros = Forest.of_tensors(zeros) if zeros else None
        formulas = part_of(tensors, f"{FORMULAS}.")
        self.formulas = Forest.of_tensors(formulas) if formulas else None
        self.module = part_of(tensors, f"{MODULE}.")
        self.network: NetworkPredictor | None = None
        if NETWORK in self.weights:
            own = Card(**{**card.__dict__, "config": card.config[NETWORK]})
            self.network = NetworkPredictor(own, part_of(tensors, f"{NETWORK}."), device)

    def predict(self, crystals: CrystalBatch) -> Estimates:
        return self.estimates(crystals, describe(crystals, self._blocks))

    def estimates(self, crystals: CrystalBatch, seen: Described) -> Estimates:
        """As `predict`, of crystals that are described already.

        Args:
            crystals: In their reduced cells.
            seen: Their descriptors, of the kinds that the card names.
        """
        if self.formulas is not None:
            seen = beside_formulas(seen, self.formulas)
        if self.module:
            seen = seen.beside(MODULE, rows(self.module, crystals))
        described = filled(seen, self.fill)
        learned, spread = self.learned(crystals, described)
        values, low, high = (
            self.transform.inverse(torch.from_numpy(x))
            for x in (learned, learned - spread, learned + spread)
        )
        factor = self.card.config.get("uncertainty", torch.nan)
        missing = torch.nonzero(~torch.isfinite(values)).flatten().tolist()
        return Estimates(
            values,
            factor * (high - low) / 2,
            dict.fromkeys(missing, "a model gave a number that is not finite"),
            self._remarks(described),
        )

    def learned(self, crystals: CrystalBatch, described: Described) -> tuple[Array, Array]:
        """Mean and spread of the models after the transform of the property.

        Args:
            crystals: In their reduced cells.
            described: Their descriptors, none NaN.
        """
        first = self.zeros if self.hurdle else None
        each = regressions(self.forest, self.kernel, self.squash, first, described)
        if self.network is not None:
            each |= {NETWORK: network_learned(self.network, crystals)}
        mean = mean_of(each, self.weights)
        if self._by_trees:
            return mean, spread_of_trees(self.forest, self.squash, described, self._typical)
        return mean, spread_of(each, self._typical)

    def probability_of_zero(self, described: Described) -> Array | None:
        """How probably the value of each crystal is 0; None where nobody has learned it.

        Args:
            described: Descriptors of the crystals, none NaN.
        """
        return None if self.zeros is None else self.zeros.predict(described.few)

    def _remarks(self, described: Described) -> dict[int, str]:
        chances = self.probability_of_zero(described)
        if chances is None:
            return {}
        return {
            row: f"{self.target} is 0 with a probability of {chance:.2f}"
            for row, chance in enumerate(chances.tolist())
            if chance >= _LIKELY
        }


def regressions(
    forest: Forest,
    kernel: KernelRidge | None,
    squash: Squash,
    zeros: Forest | None,
    described: Described,
) -> dict[str, Array]:
    """What a forest and, if there is one, a kernel regression answer, after the transform of the
    property; 0 where that is the likelier answer, which of all errs least on average.
    """
    found = {FOREST: squash.inverse(forest.predict(described.few))}
    if kernel is not None:
        found[KERNEL] = squash.inverse(kernel.predict(described.all))
    if zeros is None:
        return found
    absent = zeros.predict(described.few) >= _LIKELY
    return {model: np.where(absent, 0.0, answer) for model, answer in found.items()}


def beside_formulas(described: Described, formulas: Forest) -> Described:
    """Descriptors of crystals, and what trees that know formulas answer for theirs."""
    answer = formulas.predict(described.blocks["composition"])
    return described.beside(FORMULAS, answer[:, None])


def network_learned(network: NetworkPredictor, crystals: CrystalBatch) -> Array:
    """What a network answers, after the transform of the property."""
    scale = network.scale
    return (network.estimates(crystals).mean(-1) * scale.std + scale.mean).numpy()


def mean_of(each: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    """The weighted mean."""
    return np.sum([weights[name] * each[name] for name in weights], axis=0)


def spread_of(each: Mapping[str, Array], typical: float) -> Array:
    """How far the models are apart, beside how far they err all together."""
    return np.hypot(np.std(list(each.values()), axis=0), typical)


def spread_of_trees(forest: Forest, squash: Squash, described: Described, typical: float) -> Array:
    """How far the trees of a forest that answers alone are apart; where they agree, a share of what
    it errs all together.
    """
    mean, deviation = forest.moments(described.few)
    ends = squash.inverse(mean - deviation), squash.inverse(mean + deviation)
    return np.hypot((ends[1] - ends[0]) / 2, _SURE * typical)


def best_weights(each: Mapping[str, Array], known: Array) -> dict[str, float]:
    """The weights with which the mean errs least; of equal ones the most even.

    Args:
        each: Answers by model, each of shape (rows,).
        known: Shape (rows,).
    """
    names = list(each)
    table = np.stack([each[name] for name in names])
    shares = np.array(
        [
            [*part, _STEPS - sum(part)]
            for part in product(range(_STEPS + 1), repeat=len(names) - 1)
            if sum(part) <= _STEPS
        ]
    )
    errors = np.abs(shares / _STEPS @ table - known).mean(1)
    order = np.lexsort(((shares**2).sum(1), errors.round(12)))
    chosen = shares[order[0]]
    return {n: int(k) / _STEPS for n, k in zip(names, chosen, strict=True) if k}


def filled(described: Described, fill: Array) -> Described:
    """Numbers in place of NaN: the means of the training rows."""
    edges = np.cumsum([0, *described.widths])
    return Described(
        {
            name: np.where(np.isfinite(block), block, fill[low:high])
            for (name, block), low, high in zip(
                described.blocks.items(), edges[:-1], edges[1:], strict=True
            )
        }
    )
