"""DAO-P as a potential: Crysformer with periodic edges, trained on energies, forces and stresses.

Source: DAO (GLAD-RUC 2025) for the name, the attention and the task of steering the sibling
generator. The published network is neither extensive nor the same in other cells of a crystal; this
one is both, see `networks.encoders.crysformer.periodic`.
"""

import json
from pathlib import Path
from typing import Any, ClassVar

import torch

from ase_crysdiff.data.element_energies import element_energies
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.models.recipe import Recipe, Tensors
from ase_crysdiff.networks.energy import AtomicEnergies, readouts
from ase_crysdiff.networks.energy import build as build_network
from ase_crysdiff.potentials.levels import readout_names
from ase_crysdiff.potentials.separation import REACH
from ase_crysdiff.training.energy import energy_task
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task

#: Entries of a config that depend on the labels.
_OF_DATA = (
    "levels",
    "readouts",
    "references",
    "depths",
    "formation_references",
    "elements",
    "level",
    "shares",
)
#: A network that a CPU can train.
_ENCODER = {
    "name": "crysformer",
    "edges": "periodic",
    "hidden": 64,
    "layers": 3,
    "heads": 4,
    "key_width": 8,
    "cutoff": 5.0,
    "reach": REACH,
    "closest": 0.55,
    "num_radial": [12, 8, 4],
    "expansion": 2,
}


class DaoP(Recipe):
    """Atomic energies on top of reference energies and short-range repulsion.

    Labels of several levels of theory train one network with a readout for each. The first of them
    is what the weights answer with, unless the config's `answers` names another; only its readout
    ships.
    """

    name = "dao-p"
    kind: ClassVar[Kind] = Kind.POTENTIAL
    optional = ("answers",)

    def build(self, config: Config) -> AtomicEnergies:
        """The network of a config."""
        return build_network(config["encoder"], len(config.get("levels") or [None]))

    def configure(self, data: Labels) -> dict[str, Any]:
        """The default config for a set of labels: reference energies fitted to it and a network
        that a CPU can train.
        """
        return {
            "recipe": self.name,
            "kind": self.kind,
            "encoder": _ENCODER,
            "loss_weights": {"energy": 2.0, "forces": 1.0, "virial": 0.3},
            **self.of_data({}, data),
        }

    def of_data(self, config: Config, data: Labels) -> dict[str, Any]:
        """A config whose elements and energies of elements are those of the labels.

        Args:
            config: Of the weights that the training begins with, or empty. Elements that these know
                at the same level of theory stay known, with their energies.
            data: What it learns from.
        """
        names = data.levels if data.level is not None else ("",)
        known = json.loads(data.metadata.get("references", "{}"))
        fitted = dict.fromkeys(names, known) if len(names) == 1 else known
        before = {config.get("level", names[0]): config, **config.get("levels", {})}
        entries = {
            name: element_energies(data.of_level(name), fitted.get(name, {}), before.get(name, {}))
            for name in names
        }
        rest = {key: value for key, value in config.items() if key not in _OF_DATA}
        if len(names) == 1:
            named = {"level": names[0]} if names[0] else {}
            return {**rest, **entries[names[0]], **named}
        found = {int(z) for z in torch.unique(data.configurations.species)}
        return {
            **rest,
            "levels": entries,
            "readouts": list(names),
            "shares": dict.fromkeys(names, 1.0),
            "elements": sorted(found | set(config.get("elements", ()))),
        }

    def load_data(self, path: Path) -> Labels:
        return Labels.load(path)

    def fixed_by_origin(self, changes: Config) -> list[str]:
        return sorted(set(changes) - {"encoder", "shares", "answers", "loss_weights"})

    def fill(self, model: AtomicEnergies, tensors: Tensors, source: Path) -> None:
        """Copies weights; where they answer for one level of theory and the model for several, all
        readouts begin as that one.
        """
        if len(tensors.get("out.bias", ())) == 1 and model.levels > 1:
            tensors = readouts(tensors, [0] * model.levels)
        super().fill(model, tensors, source)

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
        are checked whenever the weights are loaded. Of several levels of theory one answers.

        Args:
            config: Of the training run.
            tensors: The averaged weights by name.
            whole: Not used; all of a potential ships.

        Raises:
            CheckpointError: If the tensors do not fit the network, no reference crystal consists of
                its elements, or the level that is to answer is none of the levels.
        """
        # Here, since they need ASE, which training does without.
        from ase_crysdiff.potentials.loading import assemble
        from ase_crysdiff.potentials.reference_energies import reference_energies

        if config.get("levels"):
            config, tensors = _of_one_level(config, tensors)
        network = self.build(config)
        weights.fill(network, tensors, Path(self.name))
        energies = reference_energies(assemble(self.name, network, config))
        if not energies:
            raise CheckpointError(
                f"{self.name} knows the elements {config['elements']}, of which no reference "
                "crystal consists."
            )
        return {**config, "reference_energies": energies}, tensors


def _of_one_level(config: Config, tensors: Tensors) -> tuple[dict[str, Any], Tensors]:
    """Config and weights of the level that answers; what the others were is left to the card's
    account of the training.
    """
    names = readout_names(config)
    name = config.get("answers") or names[0]
    if name not in names:
        raise CheckpointError(f"The level to answer is {name!r}, but there are {names}.")
    left = ("levels", "readouts", "answers")
    rest = {key: value for key, value in config.items() if key not in left}
    config = {**rest, **config["levels"][name], "level": name}
    return config, readouts(tensors, [names.index(name)])


RECIPE = DaoP()
