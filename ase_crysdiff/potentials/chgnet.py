"""CHGNet as a potential: the reference scale of the package, and an oracle that works offline."""

import contextlib
import io
import json
import warnings
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import atomic_numbers

from ase_crysdiff.constants import GATE_DISTANCE
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential
from ase_crysdiff.potentials.checks import check

if TYPE_CHECKING:
    from chgnet.graph.crystalgraph import CrystalGraph

#: chgnet's own factor, so that undoing it is exact.
GPA_PER_EV_PER_CUBIC_ANGSTROM = 160.21766208
#: The rows of Po, At, Rn, Fr and Ra in the element table were never trained: the training set has
#: none of them.
UNTRAINED = frozenset({84, 85, 86, 87, 88})
#: The neighbour list of a larger cell does not fit into memory, Å³.
LARGEST_VOLUME = 1e8
_REFERENCES = files("ase_crysdiff.resources") / "chgnet_references.json"


class CHGNetPotential(Potential):
    """The universal potential CHGNet with the weights that its package brings; nothing is
    downloaded.

    Total energies in eV, with the corrections of the Materials Project (MP2020) included for 0.2.0
    and 0.3.0: never add them again. Fully periodic systems only; single precision only.

    Args:
        weights: "0.3.0", "0.2.0", or "r2scan" (another energy scale).
        device: Where it computes.
        batch_size: Systems per pass through the network.

    Attributes:
        formation_references: Energy of each element, eV/atom by atomic number, fitted to formation
            energies of the Materials Project (`chgnet_references.json`); empty for other weights
            than 0.3.0.

    Raises:
        InputError: If the name of the weights is unknown.

    Source: Deng et al., Nature Machine Intelligence 5, 1031 (2023).
    """

    elements = frozenset(range(1, 95)) - UNTRAINED
    dtype = torch.float32

    def __init__(
        self, weights: str = "0.3.0", device: str | torch.device = "cpu", batch_size: int = 16
    ) -> None:
        if weights not in ("0.3.0", "0.2.0", "r2scan"):
            raise InputError(
                f"CHGNet has the weights '0.3.0', '0.2.0' and 'r2scan', not {weights!r}."
            )
        from chgnet.model.model import CHGNet

        self.device = torch.device(device)
        self.batch_size = batch_size
        self.name = "chgnet" if weights == "0.3.0" else f"chgnet-{weights}"
        self.is_corrected = weights != "r2scan"
        # Its constructor prints, and draws weights that are then overwritten.
        with contextlib.redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):
            self._model: Any = CHGNet.load(
                model_name=weights, use_device=str(self.device), verbose=False
            )
        self._model.requires_grad_(False)
        table = (
            json.loads(_REFERENCES.read_text(encoding="utf-8"))
            if weights == "0.3.0"
            else {"energies": {}}
        )
        self.formation_references = {
            atomic_numbers[symbol]: float(energy) for symbol, energy in table["energies"].items()
        }

    def evaluate(self, configurations: Configurations) -> Evaluation:
        """Energies, forces and stresses; systems with isolated or overlapping atoms fail alone.

        Raises:
            InputError: If a system is not periodic along all axes or cannot be evaluated at all
                (see `checks`).
        """
        given = configurations.to(torch.device("cpu"), torch.float64)
        open_sets = torch.nonzero(~given.periodic.all(1)).flatten().tolist()
        if open_sets:
            raise InputError(
                "CHGNet takes cells that are periodic along all three axes only; system "
                f"{open_sets[0]} is periodic along "
                f"{given.periodic[open_sets[0]].tolist()}. Give slabs and molecules a cell with "
                "vacuum and pbc=True."
            )
        check(given, self.elements, self.name)
        graphs, failures = self._graphs(given)
        answers: Any = []
        if graphs:
            with (
                torch.enable_grad(),
                warnings.catch_warnings(),
            ):  # forces need gradients even where the caller wants none
                warnings.simplefilter(
                    "ignore", UserWarning
                )  # its way of stacking volumes is deprecated
                answers = self._model.predict_graph(
                    list(graphs.values()),
                    task="efs",
                    return_site_energies=True,
                    batch_size=self.batch_size,
                )
        answers = [answers] if isinstance(answers, dict) else answers
        return self._evaluation(given, dict(zip(graphs, answers, strict=True)), failures)

    def _graphs(self, given: Configurations) -> tuple[dict[int, "CrystalGraph"], dict[int, str]]:
        from pymatgen.core import Structure

        counts = given.num_atoms.tolist()
        graphs, failures = {}, {}
        parts = zip(
            given.cells, given.species.split(counts), given.positions.split(counts), strict=True
        )
        for i, (cell, species, positions) in enumerate(parts):
            if cell.det().abs() > LARGEST_VOLUME:
                failures[i] = (
                    f"The cell has {float(cell.det().abs()):.3g} Å³; CHGNet's neighbour list takes "
                    f"{LARGEST_VOLUME:.0e}."
                )
                continue
            structure = Structure(
                cell.numpy(), species.numpy(), positions.numpy(), coords_are_cartesian=True
            )
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter(
                        "ignore", UserWarning
                    )  # noble gases have no electronegativity; nobody asked for one
                    graph = self._model.graph_converter(structure)
            except ValueError:
                failures[i] = (
                    "At least one atom has no neighbour within 6 Å; CHGNet has no answer for "
                    "isolated atoms."
                )
                continue
            shortest = _shortest_edge(graph)
            if shortest < GATE_DISTANCE:
                failures[i] = (
                    f"Two atoms are {shortest:.3g} Å apart; CHGNet's energies mean nothing below "
                    f"{GATE_DISTANCE} Å."
                )
                continue
            graphs[i] = graph
        return graphs, failures

    def _evaluation(
        self, given: Configurations, answers: dict[int, Any], failures: dict[int, str]
    ) -> Evaluation:
        counts = given.num_atoms.tolist()
        energies, forces, stress = [], [], np.full((len(counts), 3, 3), np.nan, dtype=np.float32)
        for i, count in enumerate(counts):
            found = answers.get(i)
            energies.append(
                np.full(count, np.nan, dtype=np.float32)
                if found is None
                else found["site_energies"]
            )
            forces.append(
                np.full((count, 3), np.nan, dtype=np.float32) if found is None else found["f"]
            )
            if found is not None:
                stress[i] = (found["s"] + found["s"].T) / (2 * GPA_PER_EV_PER_CUBIC_ANGSTROM)
        per_atom = torch.from_numpy(np.concatenate([*energies, np.zeros(0, dtype=np.float32)]))
        total = torch.zeros(len(counts)).index_add(0, given.index, per_atom)
        moved = torch.from_numpy(np.concatenate([*forces, np.zeros((0, 3), dtype=np.float32)]))
        return Evaluation(
            per_atom.to(self.device),
            total.to(self.device),
            moved.to(self.device),
            torch.from_numpy(stress).to(self.device),
            failures,
        )


def _shortest_edge(graph: "CrystalGraph") -> float:
    """The shortest distance of a graph, Å."""
    with torch.no_grad():
        first, second = graph.atom_graph.long().unbind(1)
        step = graph.atom_frac_coord[second] - graph.atom_frac_coord[first] + graph.neighbor_image
        return float(torch.linalg.vector_norm(step @ graph.lattice, dim=1).min())
