"""Novelty without the known crystals: a small shipped table of fingerprints in their place.

A fingerprint is a hash of the reduced formula and a few bytes that tell the distances in the
crystal. Crystals of one formula whose bytes are close are taken as the same. The bytes depend
smoothly on the structure and not on the choice of the cell, so that noise and supercells do not
hide a known crystal, which they may do from StructureMatcher.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure
from safetensors import SafetensorError, safe_open

from ase_crysdiff.crystal.close_pairs import close_pairs
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.matching import formula_key
from ase_crysdiff.storage import write_tensors

FORMAT = "crysdiff-fingerprints-1"
#: Centres and width of the Gaussians that count distances, in units of (volume per atom)^(1/3).
_CENTRES = np.arange(0.4, 2.21, 0.1)
_WIDTH = 0.12
_RADIUS = 2.4
#: Spread of Mendeleev numbers: brings the weights of pairs to about 1.
_MENDELEEV = 30.0


class Fingerprints:
    """Known crystals that can be recognised but not rebuilt.

    Args:
        keys: Hashed reduced formulas, sorted, int32.
        codes: Bytes per crystal in the same order, int8 of shape (crystals, directions).
        projection: From distance counts to codes, of shape (counts, directions).
        centre: Subtracted from the projected counts.
        tolerance: Marks of one crystal differ by at most this (Euclidean).
        metadata: `name` for reports and whatever else is known of the crystals; plain values.
    """

    def __init__(
        self,
        keys: NDArray[np.int32],
        codes: NDArray[np.int8],
        projection: NDArray[np.float64],
        centre: NDArray[np.float64],
        tolerance: float,
        metadata: Mapping[str, Any],
    ) -> None:
        self.keys, self.codes, self.projection, self.centre = keys, codes, projection, centre
        self.tolerance, self.metadata = tolerance, dict(metadata)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def name(self) -> str:
        """Shown in reports."""
        return str(self.metadata.get("name", "fingerprints"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of keys and codes."""
        return hashlib.sha256(self.keys.tobytes() + self.codes.tobytes()).hexdigest()

    def contains(self, structure: Structure) -> bool:
        """Whether a structure that passes the gate is taken as one of the known crystals."""
        key = formula_hash(formula_key(structure))
        first, last = (
            np.searchsorted(self.keys, key, "left"),
            np.searchsorted(self.keys, key, "right"),
        )
        if first == last:
            return False
        own = codes_of(distance_counts(structure), self.projection, self.centre).astype(float)
        distances = np.linalg.norm(self.codes[first:last] - own, axis=1)
        return bool(distances.min() <= self.tolerance)

    def save(self, path: Path) -> None:
        """Writes the file atomically."""
        tensors = {
            "keys": torch.tensor(self.keys),
            "marks": torch.tensor(self.codes),
            "projection": torch.tensor(self.projection, dtype=torch.float32),
            "centre": torch.tensor(self.centre, dtype=torch.float32),
        }
        content = {"tolerance": self.tolerance, **self.metadata}
        write_tensors(path, tensors, {"format": FORMAT, "content": json.dumps(content)})

    @staticmethod
    def load(path: Path) -> "Fingerprints":
        """Reads a file.

        Raises:
            InputError: If it is missing, damaged or something else.
        """
        try:
            with safe_open(str(path), "np") as file:
                metadata = dict(file.metadata() or {})
                if metadata.get("format") != FORMAT:
                    raise InputError(
                        f"{path} holds no fingerprints (format {metadata.get('format')!r}, "
                        f"expected {FORMAT!r})."
                    )
                content = json.loads(metadata["content"])
                keys, codes = file.get_tensor("keys"), file.get_tensor("marks")
                projection, centre = (
                    file.get_tensor("projection").astype(float),
                    file.get_tensor("centre").astype(float),
                )
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise InputError(f"{path} cannot be read as fingerprints ({error}).") from error
        return Fingerprints(keys, codes, projection, centre, content.pop("tolerance"), content)


@lru_cache(maxsize=1)
def open_fingerprints() -> Fingerprints:
    """The shipped fingerprints of the open training pool: a partial list of what is known."""
    return Fingerprints.load(
        Path(str(files("ase_crysdiff"))) / "resources" / "open-fingerprints.safetensors"
    )


@lru_cache(maxsize=1)
def open_hull() -> Hull:
    """The shipped hull heights of the Materials Project at 94,248 formulas; at others the hull is
    an upper bound.

    Source: Materials Project, CC BY 4.0; Jain et al. 2013; as of about 2021.
    """
    return Hull.read(Path(str(files("ase_crysdiff"))) / "resources" / "open-hull.csv.gz")


def formula_hash(key: Hashable) -> int:
    """32 bits of the SHA-256 of a formula's key, as a signed number."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "little", signed=True)


def distance_counts(structure: Structure) -> NDArray[np.float64]:
    """How many neighbours an atom has around each distance, on average: all, those of its own
    element, and all with weights.

    The weight of a pair is the product of the deviations of the two Mendeleev numbers from the
    crystal's mean, so that elements that change places are seen.

    Distances are in units of (volume per atom)^(1/3), for volume is invisible to StructureMatcher,
    too. Supercells, rotations and the order of atoms change nothing.
    """
    scale = (structure.volume / len(structure)) ** (1 / 3)
    one, other, distances = close_pairs(structure, _RADIUS * scale)
    numbers = np.array([site.specie.Z for site in structure])
    kinds = np.array([site.specie.mendeleev_no for site in structure]) / _MENDELEEV
    kinds -= kinds.mean()
    weights = np.exp(-(((distances / scale)[:, None] - _CENTRES) ** 2) / (2 * _WIDTH**2))
    factors = np.stack(
        [np.ones(len(one)), numbers[one] == numbers[other], kinds[one] * kinds[other]]
    )
    counts: NDArray[np.float64] = (factors @ weights).ravel() / len(structure)
    return counts


def codes_of(
    counts: NDArray[np.float64], projection: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Counts in the directions that tell crystals apart, as bytes.

    Args:
        counts: Of distances, shape (numbers,).
        projection: Directions, shape (numbers, bytes).
        centre: What is taken off each, shape (bytes,).
    """
    codes: NDArray[np.int8] = np.clip(np.rint(counts @ projection - centre), -127, 127).astype(
        np.int8
    )
    return codes
