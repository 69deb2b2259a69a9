"""DAO-P as a potential: Crysformer with periodic edges, trained on energies, forces and stresses.

Source: DAO (GLAD-RUC 2025) for the name, the attention and the task of steering the sibling
generator. The published network is neither extensive nor the same in other cells of a crystal; this
one is both, see `networks.encoders.crysformer.periodic`.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.networks.energy import AtomicEnergies
from ase_crysdiff.networks.energy import build as build_network

Config = Mapping[str, Any]
KIND = "potential"


def build(config: Config) -> AtomicEnergies:
    """The network of a config."""
    return build_network(config["encoder"])


def configure(labels: Labels) -> dict[str, Any]:
    """The default config for a set of labels: reference energies fitted to it and a network that a
    CPU can train.
    """
    return {
        "recipe": "dao-p",
        "kind": KIND,
        "encoder": {
            "name": "crysformer",
            "edges": "periodic",
            "hidden": 64,
            "layers": 3,
            "heads": 4,
            "key_width": 8,
            "cutoff": 5.0,
            "waves": [12, 8, 4],
            "expansion": 2,
        },
        "references": reference_energies(labels),
        "formation_references": json.loads(labels.metadata.get("references", "{}")),
        "loss_weights": {"energy": 2.0, "forces": 1.0, "virial": 0.3},
        "elements": [int(z) for z in torch.unique(labels.configurations.species)],
    }


def reference_energies(labels: Labels) -> list[float]:
    """Energy of each element's atom, eV, by least squares of the energies on the compositions; 0
    where it does not occur.

    Only labels of undisturbed crystals count, if there are any: strain and disorder are the
    network's business.
    """
    c = labels.configurations
    composition = torch.zeros(len(labels), NUM_SPECIES, dtype=torch.float64)
    composition.index_put_(
        (c.index, c.species), torch.ones(len(c.species), dtype=torch.float64), accumulate=True
    )
    calm = labels.kind == 0
    use = calm if bool(calm.any()) else torch.ones_like(calm)
    present = composition.sum(0) > 0
    counts = c.num_atoms.double()[use]
    fractions = composition[use][:, present] / counts.unsqueeze(-1)
    target = labels.energy.double()[use] / counts
    ridge = 1e-4 * torch.eye(fractions.shape[1], dtype=torch.float64)
    right = fractions.T @ target + ridge.diagonal() * target.mean()
    result = torch.zeros(NUM_SPECIES, dtype=torch.float64)
    result[present] = torch.linalg.solve(fractions.T @ fractions + ridge, right)
    return [round(x, 6) for x in result.tolist()]
