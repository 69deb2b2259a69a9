"""Features of a pretrained encoder in the manner of matminer: numbers per crystal for any
regression.

Works without matminer; where it is installed, the class is one of its featurisers and can be part
of a `MultipleFeaturizer`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state

if TYPE_CHECKING:  # imported where they are needed: to ask for a class must cost nothing
    from ase import Atoms
    from pymatgen.core import Structure

    from ase_crysdiff.networks.base import Backbone

try:
    from matminer.featurizers.base import BaseFeaturizer as _Base
except ImportError:

    class _Base:  # type: ignore[no-redef]
        """What is used of matminer's base class."""


class EncoderFeaturizer(_Base):  # type: ignore[misc]
    """The mean over a crystal's atoms of what a pretrained encoder makes of them; a supercell has
    the features of its crystal.

    Args:
        encoder: Name or folder of a pretrained encoder.
    """

    def __init__(self, encoder: str | Path = "crysldnet") -> None:
        self.encoder = encoder
        self._loaded: tuple[Backbone, frozenset[int], str] | None = None

    def featurize(self, structure: "Structure | Atoms") -> list[float]:
        """Features of one crystal.

        Raises:
            InputError: If it cannot be used.
        """
        return self.featurize_many([structure])[0]

    @own_state()
    def featurize_many(
        self,
        entries: Iterable[Any],
        ignore_errors: bool = False,
        return_errors: bool = False,
        pbar: bool = False,
    ) -> list[list[Any]]:
        """Features of many crystals at once.

        Args:
            entries: Structures or ASE atoms, or one-element tuples of them.
            ignore_errors: Whether crystals that cannot be used get NaN; else the first of them
                raises.
            return_errors: Whether to add the reason (or None) to every row; needs `ignore_errors`.
            pbar: Whether to show a progress bar.

        Raises:
            InputError: If a crystal cannot be used and errors are not ignored.
        """
        import torch

        from ase_crysdiff.crystal.reduction import batch_of, reduced_cells
        from ase_crysdiff.predictors.network import features

        backbone, elements, _ = self._load()
        given = [
            e[0] if isinstance(e, tuple | list | np.ndarray) and len(e) == 1 else e for e in entries
        ]
        cells, refused = reduced_cells(given, pbar)
        for i in [i for i, cell in cells.items() if not elements.issuperset(cell.species.tolist())]:
            refused[i] = (
                f"elements that {self.encoder} does not know: "
                f"{sorted(set(cells.pop(i).species.tolist()) - elements)}"
            )
        if refused and not ignore_errors:
            position, reason = min(refused.items())
            raise InputError(
                f"Structure {position}: {reason}. With ignore_errors=True it gets NaN."
            )
        table = np.full((len(given), backbone.hidden), np.nan)
        if cells:
            with torch.no_grad():
                table[list(cells)] = features(backbone, batch_of(list(cells.values()))).numpy()
        rows: list[list[Any]] = table.tolist()
        return [[*row, refused.get(i)] for i, row in enumerate(rows)] if return_errors else rows

    def feature_labels(self) -> list[str]:
        """Names of the features, with that of the encoder."""
        backbone, _, name = self._load()
        return [f"{name} {i}" for i in range(backbone.hidden)]

    def citations(self) -> list[str]:
        """BibTeX entries."""
        return []

    def implementors(self) -> Sequence[str]:
        """Who made it."""
        return ["The ase-crysdiff developers"]

    @own_state()
    def _load(self) -> "tuple[Backbone, frozenset[int], str]":
        from ase_crysdiff.models.pretrained import load_backbone

        if self._loaded is None:
            backbone, card = load_backbone(self.encoder)
            self._loaded = (
                backbone.eval().requires_grad_(False),
                frozenset(card.elements),
                card.name,
            )
        return self._loaded
