"""DAO-P as a potential: Crysformer with periodic edges, trained on energies, forces and stresses.

Source: DAO (GLAD-RUC 2025) for the name, the attention and the task of steering the sibling
generator. The published network is neither extensive nor the same in other cells of a crystal; this
one is both, see `networks.encoders.crysformer.periodic`.
"""

import json
from pathlib import Path
from typing import Any, ClassVar

import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.models.recipe import Recipe, Tensors
from ase_crysdiff.networks.energy import AtomicEnergies
from ase_crysdiff.networks.energy import build as build_network
from ase_crysdiff.potentials.element_references import RIDGE, least_squares_references
from ase_crysdiff.training.energy import energy_task
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task


class DaoP(Recipe):
    """Atomic energies on top of reference energies and short-range repulsion."""

    name = "dao-p"
    kind: ClassVar[Kind] = Kind.POTENTIAL

    def build(self, config: Config) -> AtomicEnergies:
        """The network of a config."""
        return build_network(config["encoder"])

    def configure(self, data: Labels) -> dict[str, Any]:
        """The default config for a set of labels: reference energies fitted to it and a network
        that a CPU can train.
        """
        return {
            "recipe": self.name,
            "kind": self.kind,
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
            "references": atom_energies(data),
            "formation_references": json.loads(data.metadata.get("references", "{}")),
            "loss_weights": {"energy": 2.0, "forces": 1.0, "virial": 0.3},
            "elements": [int(z) for z in torch.unique(data.configurations.species)],
        }

    def load_data(self, path: Path) -> Labels:
        return Labels.load(path)

    def task(
        self,
        model: AtomicEnergies,
        config: Config,
        data: Labels,
        settings: TrainSettings,
        device: torch.device,
        validation: Labels | None = None,
    ) -> Task:
        return energy_task(model, config, data, settings, device, validation)

    def exported(
        self, config: Config, tensors: Tensors, whole: bool = False
    ) -> tuple[Config, Tensors]:
        """The weights, and the config with the energies that they give for reference crystals: they
        are checked whenever the weights are loaded.

        Args:
            config: Of the training run.
            tensors: The averaged weights by name.
            whole: Not used; all of a potential ships.

        Raises:
            CheckpointError: If the tensors do not fit the network, or no reference crystal consists
                of its elements.
        """
        # Here, since they need ASE, which training does without.
        from ase_crysdiff.potentials.loading import assemble
        from ase_crysdiff.potentials.reference_energies import reference_energies

        network = self.build(config)
        weights.fill(network, tensors, Path(self.name))
        energies = reference_energies(assemble(self.name, network, config))
        if not energies:
            raise CheckpointError(
                f"{self.name} knows the elements {config['elements']}, of which no reference "
                "crystal consists."
            )
        return {**config, "reference_energies": energies}, tensors


def atom_energies(labels: Labels) -> list[float]:
    """Energy of each element's atom, eV, by least squares of the energies per atom on the
    compositions; 0 where the element does not occur, the mean energy where it does in perturbed
    crystals alone.

    Only labels of unperturbed crystals count, if there are any: strain and disorder are the
    network's business.

    Args:
        labels: What the potential learns from.

    Returns:
        By atomic number, shape (NUM_SPECIES,).
    """
    c = labels.configurations
    composition = torch.zeros(len(labels), NUM_SPECIES, dtype=torch.float64)
    composition.index_put_(
        (c.index, c.species), torch.ones(len(c.species), dtype=torch.float64), accumulate=True
    )
    undistorted = labels.kind == Perturbation.UNPERTURBED
    use = undistorted if bool(undistorted.any()) else torch.ones_like(undistorted)
    counts = c.num_atoms.double()
    fractions, energies = composition / counts[:, None], labels.energy.double() / counts
    found = torch.from_numpy(
        least_squares_references(fractions[use].numpy(), energies[use].numpy(), RIDGE)
    )
    occurs = composition.sum(0) > 0
    found[occurs & found.isnan()] = energies[use].mean()
    return [round(x, 6) for x in found.nan_to_num().tolist()]


RECIPE = DaoP()
