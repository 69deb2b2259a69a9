"""Fits what weights of a potential say of how far they are to be believed, and measures it."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import rankdata, spearmanr

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batching import runs_of_size
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.familiarity import Familiarity, learnt_from, system_distances
from ase_crysdiff.potentials.neural import NeuralPotential
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.shapes import Float, Int, Tensor

#: Training labels that show where the features lie.
SAMPLE = 20_000
#: Share of crystals as they are in nature that are inside of what a potential knows.
INSIDE = 0.975
#: Atoms in one pass.
_ATOMS = 2000
#: Larger errors, eV/atom, would decide alone.
_LARGEST_ERROR = 2.0
#: Fewer crystals give no quantile.
_FEWEST = 100
#: Crystals that are disturbed to see what is found to be outside.
_DISTURBED = 200


@dataclass(frozen=True)
class Fitted:
    """What was found.

    Args:
        familiarity: To be stored beside the weights.
        measured: How well it tells, on labels that it was not fitted to, for the card.
    """

    familiarity: Familiarity
    measured: Mapping[str, Any]


def fit_uncertainty(
    potential: NeuralPotential,
    training: Labels,
    validation: Labels,
    crystals: Configurations | None = None,
    *,
    sample: int = SAMPLE,
    inside: float = INSIDE,
    seed: int = 0,
) -> Fitted:
    """Learns where the features of the training labels lie; the errors by the distance from there,
    σ = a dᵇ by the largest likelihood of normal errors, on half of the validation labels, and the
    limit on crystals as they are. The other half measures.

    Args:
        potential: Whose weights they are.
        training: What it has learnt from.
        validation: Of one level of theory, that which the potential answers with; not among the
            training labels.
        crystals: Held-out crystals as they are in nature; None takes the unperturbed ones of the
            validation labels.
        sample: Training labels that are looked at.
        inside: Share of the crystals below the limit.
        seed: Of the sample and of the halves.

    Raises:
        InputError: If there are too few labels or crystals.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(training), generator=generator)[:sample].sort().values
    features, species = _features(potential, training.select(chosen).configurations)
    known = learnt_from(features, species, NUM_SPECIES)
    errors = label_errors(
        potential, validation, references_of(training) | references_of(validation)
    )
    distances = _distances(potential, known, validation.configurations)
    usable = torch.nonzero((errors.abs() < _LARGEST_ERROR) & distances.isfinite()).flatten()
    if crystals is None:
        unperturbed = torch.nonzero(validation.kind == Perturbation.UNPERTURBED).flatten()
        crystals = validation.configurations.select(unperturbed)
    as_they_are = _distances(potential, known, crystals)
    as_they_are = as_they_are[as_they_are.isfinite()]
    if min(len(usable), len(as_they_are)) < _FEWEST:
        raise InputError(
            f"There are {len(usable)} validation labels and {len(as_they_are)} crystals as they "
            f"are in nature; at least {_FEWEST} of each are needed. Give more, or --crystals."
        )
    order = usable[torch.randperm(len(usable), generator=generator)]
    fitted, held_out = order[: len(order) // 2], order[len(order) // 2 :]
    scale, exponent = growth(distances[fitted].numpy(), errors[fitted].numpy())
    known = replace(known, scale=scale, exponent=exponent)
    known = replace(known, limit=float(known.error_at(as_they_are).quantile(inside)))
    told = known.error_at(distances[held_out])
    measured = {
        **agreement(told.numpy(), errors[held_out].numpy()),
        "limit, eV/atom": known.limit,
        "crystals as they are": len(as_they_are),
        "of these outside": float((known.error_at(as_they_are) > known.limit).double().mean()),
    }
    for name, strange in disturbed(_some(crystals), potential.elements, seed).items():
        there = known.error_at(_distances(potential, known, strange))
        inside_errors = known.error_at(as_they_are).numpy()
        measured |= {
            f"{name}: outside": float((there > known.limit).double().mean()),
            f"{name}: AUROC": separation(inside_errors, there.numpy()),
        }
    return Fitted(known, measured)


def disturbed(
    crystals: Configurations, elements: Collection[int], seed: int = 0
) -> dict[str, Configurations]:
    """What users meet and a potential has seldom or never seen, made of crystals, by what was done.

    Args:
        crystals: Fully periodic.
        elements: Atomic numbers that the potential knows.
        seed: Of what is random.
    """
    generator = torch.Generator().manual_seed(seed)
    c = crystals
    scaled = {
        f"volume x {volume}": replace(
            c, cells=c.cells * volume ** (1 / 3), positions=c.positions * volume ** (1 / 3)
        )
        for volume in (0.7, 2.5)
    }
    moves = 0.4 * torch.randn(c.positions.shape, generator=generator, dtype=torch.float64)
    places = torch.rand(c.positions.shape, generator=generator, dtype=torch.float64)
    known, exchanged = torch.tensor(sorted(elements)), c.species.clone()
    for system in range(len(c)):
        names = torch.arange(NUM_SPECIES)
        names[known] = known[torch.randperm(len(known), generator=generator)]
        atoms = c.index == system
        exchanged[atoms] = names[c.species[atoms]]
    return scaled | {
        "moved by 0.4 Å": replace(c, positions=c.positions + moves),
        "places at random": replace(
            c, positions=(places.unsqueeze(1) @ c.cells.double()[c.index]).squeeze(1)
        ),
        "elements at random": replace(c, species=exchanged),
    }


def references_of(labels: Labels) -> dict[str, dict[str, float]]:
    """Energies of the elements by level of theory, which turn label energies into formation
    energies, eV/atom by atomic number; as far as the labels bring them.
    """
    given = json.loads(labels.metadata.get("references", "{}"))
    by_level = all(isinstance(entry, Mapping) for entry in given.values())
    return given if by_level else {name: given for name in labels.levels}


def label_errors(
    potential: NeuralPotential, labels: Labels, references: Mapping[str, Mapping[str, float]]
) -> Float[Tensor, " sets"]:
    """Energies of the potential less those of labels, eV/atom, NaN where it has none. The zero
    of both is in the elements, as far as both know where that is.

    Args:
        potential: What is asked.
        labels: Of one level of theory.
        references: Of `references_of`, by level.
    """
    c = labels.configurations
    shifts = torch.zeros(NUM_SPECIES, dtype=torch.float64)
    levels = {int(i) for i in torch.unique(labels.level)} if labels.level is not None else {0}
    if len(levels) != 1:
        raise InputError(
            f"The validation labels are of {len(levels)} levels of theory; give those that the "
            "potential answers with."
        )
    own = references.get(labels.levels[levels.pop()], {})
    for z, energy in potential.formation_references.items():
        if str(z) in own:
            shifts[z] = energy - float(own[str(z)])
    total = labels.energy.double().index_add(0, c.index, shifts[c.species])
    found = torch.full_like(total, torch.nan)
    for run in runs(c):
        some = c.select(run).to(dtype=torch.float64)
        found[run] = evaluate_each(potential, some, derivatives=False).energy
    return (found - total) / c.num_atoms


def separation(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """Probability that one from outside has the larger value (area under the ROC curve)."""
    ranks = rankdata(np.concatenate([inside, outside]))
    least = len(outside) * (len(outside) + 1) / 2
    return float((ranks[len(inside) :].sum() - least) / len(inside) / len(outside))


def agreement(told: NDArray[np.float64], errors: NDArray[np.float64]) -> dict[str, float]:
    """How expected errors compare with true ones."""
    share, large = np.abs(errors) / told, np.abs(errors) > np.quantile(np.abs(errors), 0.9)
    return {
        "labels": float(len(told)),
        "MAE, eV/atom": float(np.abs(errors).mean()),
        "rank correlation with the error": float(spearmanr(told, np.abs(errors)).statistic),
        "within 1 σ": float((share < 1).mean()),
        "within 2 σ": float((share < 2).mean()),
        "AUROC of the largest tenth of errors": separation(told[~large], told[large]),
    }


def growth(distances: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[float, float]:
    """The factor a and the power b of σ = a dᵇ, by the largest likelihood of normal errors."""
    logs = np.log(distances)

    def surprise(x: NDArray[np.float64]) -> float:
        spread = x[0] + x[1] * logs
        return float((spread + 0.5 * (errors * np.exp(-spread)) ** 2).mean())

    start = np.array([math.log(np.abs(errors).mean()), 1.0])
    found = minimize(surprise, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-8})
    return math.exp(found.x[0]), float(found.x[1])


def _some(crystals: Configurations) -> Configurations:
    """Enough of them to be disturbed."""
    step = max(1, len(crystals) // _DISTURBED)
    return crystals.select(list(range(0, len(crystals), step))[:_DISTURBED])


def runs(configurations: Configurations) -> list[Int[Tensor, " run"]]:
    """Positions in batches of similar size."""
    order = torch.argsort(configurations.num_atoms, stable=True)
    found = runs_of_size(configurations.num_atoms[order].tolist(), _ATOMS)
    return [order[torch.as_tensor(list(run))] for run in found]


def _features(
    potential: NeuralPotential, configurations: Configurations
) -> tuple[Float[Tensor, "atoms hidden"], Int[Tensor, " atoms"]]:
    parts = [potential.features(configurations.select(run)) for run in runs(configurations)]
    return (
        torch.cat([features.cpu() for features, _ in parts]),
        torch.cat([graph.species.cpu() for _, graph in parts]),
    )


def _distances(
    potential: NeuralPotential, known: Familiarity, configurations: Configurations
) -> Float[Tensor, " systems"]:
    found = torch.full((len(configurations),), torch.nan, dtype=torch.float64)
    for run in runs(configurations):
        features, graph = potential.features(configurations.select(run))
        found[run] = system_distances(known.distances(features.cpu(), graph.species.cpu()), graph)
    return found
