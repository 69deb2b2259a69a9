"""Ways to tell how far a potential is to be believed, on the same labels.

python experiments/uncertainty_methods.py dao-p --train levels.safetensors --level chgnet \
    --validation chgnet_val.safetensors --crystals mp/val.csv.gz

Each gives a distance; σ = a dᵇ is fitted to one half of the validation labels and judged on the
other, and the distances of held-out crystals are compared with those of the same crystals
disturbed. Ours: `ase_crysdiff.potentials.familiarity`. Against it: one covariance for all elements;
last-layer prediction rigidity (Bigi, Chong, Ceriotti & Grasselli 2024), f̄ᵀ(FᵀF + ς²)⁻¹f̄ with the
mean last-layer features f̄ of a crystal; and readouts refitted to errors of random training labels.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from ase_crysdiff.campaigns.uncertainty import (
    agreement,
    disturbed,
    growth,
    label_errors,
    references_of,
    runs,
    separation,
)
from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.familiarity import learnt_from, system_distances
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.potentials.neural import NeuralPotential
from ase_crysdiff.relaxation.structures import configurations

#: Readouts of the ensemble, labels that each sees, and the ridge over the mean square of features.
HEADS, LABELS, RIDGE = 16, 1000, 1e-4
#: Added to FᵀF, over the mean of its diagonal.
RIGIDITY = 1e-4


def mean(values: torch.Tensor, graph) -> torch.Tensor:
    """Means over the atoms of systems."""
    counts = torch.bincount(graph.systems, minlength=graph.num_systems)
    summed = torch.zeros(graph.num_systems, values.shape[1], dtype=values.dtype)
    return summed.index_add(0, graph.systems, values) / counts[:, None]


def last_layer(potential: NeuralPotential, features: torch.Tensor, graph) -> torch.Tensor:
    """What the energies of crystals, eV/atom, are linear in, shape (systems, hidden + 1)."""
    network = potential.network
    with torch.no_grad():
        values = functional.silu(network.hidden(features))
        values = torch.cat([values, torch.ones_like(values[:, :1])], 1)
        return mean((values * network.presence(graph)[:, None]).double(), graph)


def methods(potential: NeuralPotential, training: Labels, references) -> dict[str, Callable]:
    """Distances of systems by name of the method, of (features, graph)."""
    c = training.configurations
    atoms, species = [], []
    seen = torch.zeros(len(c), potential.network.encoder.hidden + 1, dtype=torch.float64)
    for run in runs(c):
        features, graph = potential.features(c.select(run))
        atoms.append(features)
        species.append(graph.species)
        seen[run] = last_layer(potential, features, graph)
    own = learnt_from(torch.cat(atoms), torch.cat(species), NUM_SPECIES)
    width = own.whitening.shape[0]
    one = torch.eye(width, dtype=torch.float64)[tuple(torch.tril_indices(width, width))]
    common = replace(own, shapes=one.expand(NUM_SPECIES, -1))
    square = seen.T @ seen / len(seen)
    eye = torch.eye(len(square), dtype=torch.float64) * square.diagonal().mean()
    rigid = torch.linalg.inv(square + RIGIDITY * eye)
    errors = label_errors(potential, training, references).clamp(-0.5, 0.5).nan_to_num()
    generator, heads = torch.Generator().manual_seed(0), []
    for _ in range(HEADS):
        rows = torch.randint(len(seen), (LABELS,), generator=generator)
        f = seen[rows]
        heads.append(torch.linalg.solve(f.T @ f + RIDGE * LABELS * eye, f.T @ errors[rows]))
    ensemble = torch.stack(heads, 1)

    def rigidity(features, graph):
        f = last_layer(potential, features, graph)
        return ((f @ rigid) * f).sum(-1).clamp_min(0.0).sqrt()

    return {
        "a covariance for each element": lambda f, g: system_distances(
            own.distances(f, g.species), g
        ),
        "one covariance": lambda f, g: system_distances(common.distances(f, g.species), g),
        "last-layer rigidity": rigidity,
        "readouts refitted": lambda f, g: (last_layer(potential, f, g) @ ensemble).std(1),
    }


def distances(potential: NeuralPotential, found: dict, c: Configurations) -> dict:
    """Of all systems, by name of the method."""
    result = {name: torch.full((len(c),), torch.nan, dtype=torch.float64) for name in found}
    for run in runs(c):
        features, graph = potential.features(c.select(run))
        for name, method in found.items():
            result[name][run] = method(features, graph)
    return {name: values.numpy() for name, values in result.items()}


def main() -> None:
    """Fits, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("potential")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--level", required=True, help="of the training labels")
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--crystals", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=20_000)
    options = parser.parse_args()
    potential = load_potential(options.potential)
    training = Labels.load(options.train).of_level(options.level)
    references = references_of(training)
    rows = torch.randperm(len(training), generator=torch.Generator().manual_seed(0))
    found = methods(potential, training.select(rows[: options.sample]), references)
    validation = Labels.load(options.validation)
    errors = label_errors(potential, validation, references).numpy()
    there = distances(potential, found, validation.configurations)
    order = np.random.default_rng(0).permutation(np.nonzero(np.abs(errors) < 2)[0])
    fitted, held_out = order[::2], order[1::2]
    records = read_all([options.crystals])[::3]
    crystals = replace(configurations([record.load() for record in records]), labels=())
    real = distances(potential, found, crystals)
    strange = {
        name: distances(potential, found, some)
        for name, some in disturbed(crystals, potential.elements).items()
    }
    for name, values in there.items():
        a, b = growth(values[fitted], errors[fitted])
        told = a * values[held_out] ** b
        surprise = np.mean(np.log(told) + 0.5 * (errors[held_out] / told) ** 2)
        print(f"{name}: -log likelihood {surprise:.3f}")
        print("  ", {k: round(v, 3) for k, v in agreement(told, errors[held_out]).items()})
        print(
            "   AUROC", {k: round(separation(real[name], s[name]), 3) for k, s in strange.items()}
        )


if __name__ == "__main__":
    main()
