"""Levels of theory of one network: the energies that stand for an atom at each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class LevelEnergies:
    """What a potential knows of the elements at one level of theory.

    Args:
        references: Energy of each element's atom in crystals, eV, by atomic number.
        depths: Energy of the free atom above that, eV, by atomic number; 0 where it is not known.
        share: How often a label of this level is seen in an epoch, at most once.
    """

    references: Float[Tensor, " elements"]
    depths: Float[Tensor, " elements"]
    share: float = 1.0

    @staticmethod
    def of(entry: Mapping[str, Any], share: float = 1.0) -> "LevelEnergies":
        """From an entry of a config: `references`, and perhaps `depths`."""
        depths = entry.get("depths") or [0.0] * NUM_SPECIES
        return LevelEnergies(
            torch.tensor(entry["references"], dtype=torch.float64),
            torch.tensor(depths, dtype=torch.float64),
            share,
        )

    def to(self, device: torch.device) -> "LevelEnergies":
        """The energies on a device."""
        return LevelEnergies(self.references.to(device), self.depths.to(device), self.share)


def level_energies(config: Mapping[str, Any]) -> dict[str, LevelEnergies]:
    """The levels of a config by name, in the order of the network's readouts.

    Args:
        config: Of a training with several levels, which has `levels` and perhaps `shares` by their
            names, and their order, `readouts`; or of one level, without a name, whose entries it
            has itself.
    """
    if not config.get("levels"):
        return {"": LevelEnergies.of(config)}
    levels, shares = config["levels"], config.get("shares", {})
    return {
        name: LevelEnergies.of(levels[name], float(shares.get(name, 1.0)))
        for name in readout_names(config)
    }


def readout_names(config: Mapping[str, Any]) -> list[str]:
    """The levels of a config in the order of the network's readouts.

    The order is written down apart from the entries: checkpoints sort the keys of a mapping.

    Args:
        config: Of a training with several levels.
    """
    return list(config.get("readouts") or config["levels"])
