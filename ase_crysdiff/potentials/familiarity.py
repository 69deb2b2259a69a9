"""How familiar the surroundings of atoms are to a network, and what error that means.

An atom's features are what the readout sees of it. Those that the network has learnt from are, by
element, about normally distributed; the Mahalanobis distance from there says how strange an atom
is, and held-out labels say how large the errors at such distances are.

Source: Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples",
equation 1, for the distance in features of the last layer; here with a covariance for each class,
drawn towards the common one. On the same labels it tells better what is outside than last-layer
prediction rigidity (Bigi, Chong, Ceriotti & Grasselli 2024), an ensemble of readouts, and one
covariance for all elements: see `docs/explanation/quality.md`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models.card import Card
from ase_crysdiff.networks.graph import Graph
from ase_crysdiff.potentials.base import Uncertainty
from ase_crysdiff.shapes import Float, Int, Tensor
from ase_crysdiff.storage import write_tensors

#: Lies beside the weights that it belongs to.
FILE = "uncertainty.safetensors"
FORMAT = "crysdiff-uncertainty-1"
#: Atoms of the common distribution that an element's own is mixed with.
PRIOR_ATOMS = 200.0
#: As for centres, which few atoms show well.
_PRIOR_CENTRE = 5.0
#: Added to variances, over their mean: directions in which no atoms differ say nothing.
_FLOOR = 1e-4


@dataclass(frozen=True)
class Familiarity:
    """Where the features of a network's training lie, and errors by the distance from there.

    Args:
        centres: Mean features of each element, by atomic number, shape (elements, hidden).
        whitening: Takes features less their centre to coordinates in which all atoms together have
            unit covariance, shape (hidden, hidden).
        shapes: Of each element the lower triangle of the inverse of its covariance there, row by
            row, shape (elements, hidden (hidden + 1) / 2).
        scale: Standard deviation of the error at distance 1, eV/atom.
        exponent: Power of the distance with which it grows.
        limit: Above it a system is outside of what the network knows, eV/atom.
    """

    centres: Float[Tensor, "elements hidden"]
    whitening: Float[Tensor, "hidden hidden"]
    shapes: Float[Tensor, "elements triangle"]
    scale: float = 1.0
    exponent: float = 1.0
    limit: float = torch.inf

    def to(self, device: torch.device) -> "Familiarity":
        """The same on a device, in double precision."""
        moved = {name: getattr(self, name).to(device, torch.float64) for name in _TENSORS}
        return replace(self, **moved)

    def distances(
        self, features: Float[Tensor, "atoms hidden"], species: Int[Tensor, " atoms"]
    ) -> Float[Tensor, " atoms"]:
        """Mahalanobis distance of every atom from those of its element; about 1 for atoms such as
        the network has learnt from, since it is taken per feature.

        Args:
            features: What the readout sees of the atoms.
            species: Atomic numbers.
        """
        own = (features.double() - self.centres[species]) @ self.whitening
        squares = torch.zeros_like(own[:, 0])
        for element in torch.unique(species).tolist():
            atoms = species == element
            matrix = _square(self.shapes[element], own.shape[1])
            squares[atoms] = ((own[atoms] @ matrix) * own[atoms]).sum(-1)
        return (squares.clamp_min(0.0) / own.shape[1]).sqrt()

    def uncertainty(self, features: Float[Tensor, "atoms hidden"], graph: Graph) -> Uncertainty:
        """Expected errors; a system's distance is the root of the mean square of its atoms', so
        that supercells have the same.

        Args:
            features: What the readout sees of the graph's atoms.
            graph: Atoms and systems.
        """
        distances = self.distances(features, graph.species)
        return Uncertainty(
            self.error_at(distances), self.error_at(system_distances(distances, graph)), self.limit
        )

    def error_at(self, distances: Tensor) -> Tensor:
        """Standard deviation of the error at distances, eV/atom."""
        return self.scale * distances**self.exponent

    def save(self, folder: Path, card: Card) -> None:
        """Writes the file beside the weights of a card; half precision is enough for distances."""
        numbers = {name: repr(float(getattr(self, name))) for name in _NUMBERS}
        about = {"format": FORMAT, "weights": card.sha256, **numbers}
        tensors = {name: getattr(self, name).to(_TENSORS[name]) for name in _TENSORS}
        write_tensors(folder / FILE, tensors, about)

    @staticmethod
    def load(folder: Path, card: Card) -> "Familiarity | None":
        """What lies beside weights; None if they have none.

        Args:
            folder: Of the weights.
            card: Theirs.

        Raises:
            CheckpointError: If the file is damaged, or was made for other weights.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with safe_open(str(path), "pt") as file:
                about = dict(file.metadata() or {})
                tensors = {name: file.get_tensor(name).double() for name in _TENSORS}
            numbers: dict[str, Any] = {name: float(about[name]) for name in _NUMBERS}
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read ({error!r}). {_ADVICE}") from error
        if about.get("format") != FORMAT or about.get("weights") != card.sha256:
            raise CheckpointError(
                f"{path} was made for the weights {about.get('weights', '')[:12]}…, and these are "
                f"{card.version}…: what it says of them would be wrong. {_ADVICE}"
            )
        return Familiarity(**tensors, **numbers)


_TENSORS = {"centres": torch.float32, "whitening": torch.float32, "shapes": torch.float16}
_NUMBERS = ("scale", "exponent", "limit")
_ADVICE = "Delete it, or make it anew: python tools/fit_uncertainty.py WEIGHTS --train ..."


def learnt_from(
    features: Float[Tensor, "atoms hidden"], species: Int[Tensor, " atoms"], num_elements: int
) -> Familiarity:
    """Where features lie; how errors grow with the distance from there is not known yet.

    Args:
        features: Of atoms that the network has learnt from.
        species: Their atomic numbers.
        num_elements: Atomic numbers are below it.
    """
    features = features.double()
    width = features.shape[1]
    counts = torch.bincount(species, minlength=num_elements).double().unsqueeze(-1)
    summed = features.new_zeros(num_elements, width).index_add(0, species, features)
    centres = (summed + _PRIOR_CENTRE * features.mean(0)) / (counts + _PRIOR_CENTRE)
    own = features - centres[species]
    common = own.T @ own / len(own)
    one = torch.eye(width, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(common + _FLOOR * common.diagonal().mean() * one)
    whitening = vectors / values.sqrt()
    own = own @ whitening
    shapes = features.new_zeros(num_elements, width * (width + 1) // 2)
    rows, columns = torch.tril_indices(width, width)
    for element in range(num_elements):
        atoms = own[species == element]
        covariance = (atoms.T @ atoms + PRIOR_ATOMS * one) / (len(atoms) + PRIOR_ATOMS)
        shapes[element] = torch.linalg.inv(covariance)[rows, columns]
    return Familiarity(centres, whitening, shapes)


def system_distances(distances: Float[Tensor, " atoms"], graph: Graph) -> Tensor:
    """The root of the mean square of the distances of each system's atoms, shape (systems,)."""
    counts = torch.bincount(graph.systems, minlength=graph.num_systems)
    summed = torch.zeros(graph.num_systems, dtype=distances.dtype, device=distances.device)
    return (summed.index_add(0, graph.systems, distances.square()) / counts).sqrt()


def _square(triangle: Float[Tensor, " triangle"], width: int) -> Float[Tensor, "width width"]:
    """The symmetric matrix of a lower triangle."""
    rows, columns = torch.tril_indices(width, width, device=triangle.device)
    matrix = triangle.new_zeros(width, width)
    matrix[rows, columns] = triangle
    matrix[columns, rows] = triangle
    return matrix
