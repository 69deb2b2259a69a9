"""GeoBFN: molecules by a Bayesian flow of the places of their atoms.

Source: Song et al. 2024, "Unified Generative Modeling of 3D Molecules with Bayesian Flow Networks",
ICLR 2024.

Where the model differs from the paper, and why:
- the elements are no part of the flow. A molecule begins with its groups, heavy atoms with so many
  hydrogens each, which are drawn as they occur in training, for a formula or freely; QM9 has some
  five thousand such lists. The network knows from the beginning what every atom is and which
  hydrogens it carries, and has to find places alone;
- it predicts how far an atom lies from where it is believed to be, in units of the belief's spread,
  as in `crysbfn`;
- what is wished of a property weighs the lists of groups before the network is told
  (`data.group_outlook`), each as it follows from Bayes' rule;
- times are continuous: one network draws in any number of steps;
- the encoder is a small one for CPUs (`networks.molecules.egnn`).
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from ase_crysdiff.data.group_outlook import fit_outlook
from ase_crysdiff.data.molecules import group_histogram, spread
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.statistics import elements, size_histogram
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.molecules import build_molecule_model
from ase_crysdiff.networks.molecules.base import POSITIONS
from ase_crysdiff.training.denoising import GenerativeRecipe

#: Standard deviation of the belief about a coordinate at the data, in units of their spread.
SMALLEST = 0.03


class GeoBFN(GenerativeRecipe):
    """Bayesian flow of the places of given atoms."""

    name = "geobfn"
    kind: ClassVar[Kind] = Kind.MOLECULE_SAMPLER
    optional: ClassVar[tuple[str, ...]] = ("properties", "adapter_width", "hidden_share")

    def resolved(self, config: Config, data: PackedCrystals) -> dict[str, Any]:
        """The config with properties declared that it names alone, and what groups say of them.

        Raises:
            InputError: If one of them is not known of the data.
        """
        found = super().resolved(config, data)
        if found != config:  # of a training that begins
            found["outlooks"] = outlooks(data, found["properties"])
        return found

    def build(self, config: Config) -> GenerativeModel:
        """The model of a config."""
        return build_molecule_model(config)

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config for a data set: its statistics and a network that a CPU can train."""
        return {
            "recipe": self.name,
            "kind": str(self.kind),
            "max_atoms": int(data.batch.num_atoms.max()),
            "scale": spread(data.batch),
            "processes": {POSITIONS: {"name": "gaussian-bayesian-flow", "smallest": SMALLEST}},
            "encoder": {"name": "egnn", "hidden": 160, "layers": 5, "pair": 48, "arrows": 8},
            "sizes": size_histogram(data),
            "groups": group_histogram(data.batch),
            "elements": elements(data),
        }

    def published(self, data: PackedCrystals) -> dict[str, Any]:
        """A network of the paper's size: nine rounds of width 256."""
        encoder = {"name": "egnn", "hidden": 256, "layers": 9, "pair": 256, "arrows": 16}
        process = {"name": "gaussian-bayesian-flow", "smallest": 0.001}
        return {**self.configure(data), "encoder": encoder, "processes": {POSITIONS: process}}


def outlooks(data: PackedCrystals, names: Iterable[str]) -> dict[str, Any]:
    """What groups say of each number that is known of molecules, as a config holds it."""
    found = {n: fit_outlook(data.batch, data.values[n]) for n in names if n in data.values}
    return {name: one.as_plain() for name, one in found.items() if one is not None}


RECIPE = GeoBFN()
