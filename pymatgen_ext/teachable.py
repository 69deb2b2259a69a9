"""Samplers that learn to be told a property."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ase_crysdiff import registry
from ase_crysdiff.errors import InputError
from pymatgen_ext.named_sampler import NamedSampler

if TYPE_CHECKING:
    from pathlib import Path
    from tempfile import TemporaryDirectory
    from typing import Self

    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    from ase_crysdiff.predictors.reports import FinetuneReport


class TeachableSampler(NamedSampler):
    """A registered sampler that can be fine-tuned.

    Attributes:
        finetune_report: What became of every row, where the sampler was fine-tuned.
    """

    #: Holds weights that nobody has saved yet.
    temporary: "TemporaryDirectory[str] | None" = None
    finetune_report: "FinetuneReport | None" = None

    def __init__(
        self, name: str = registry.DEFAULT, weights: str | None = None, device: str = "auto"
    ) -> None:
        super().__init__(name, weights, device)

    def finetune(
        self,
        structures: "Sequence[Structure | Atoms | None]",
        values: "Sequence[float | None] | NDArray[np.float64]",
        *,
        property: str,
        unit: str | None = None,
        folder: "str | Path | None" = None,
        split: str = "composition",
        validation: float = 0.15,
        minutes: float | None = None,
        progress: bool | None = None,
        **settings: Any,
    ) -> "Self":
        """A new sampler that can be told a property; this one stays as it is.

        The weights are frozen and adapters are trained beside them, so that the new sampler draws
        what this one draws where nothing is wished. Rows without a number, with a crystal that
        cannot be used, said twice or contradicted by another row are left out and named in
        `.finetune_report`, beside what the property tells.

        Args:
            structures: One for each value.
            values: In `unit`; None and NaN are missing values.
            property: Its name in `properties=`, such as "band_gap".
            unit: Of the values, "1" for a plain number; None for that of a property that the
                package knows.
            folder: Where the adapters go, and the state of the training, so that the same call
                goes on after an interruption; None keeps them as long as the new sampler, or until
                `.save(folder)`.
            split: "random", "composition" (rows of a formula stay together) or "chemical-system".
            validation: Share of the rows that stops the training.
            minutes: Time budget.
            progress: Whether to show a progress bar; None shows one on a terminal.
            settings: Of `AdapterSettings`: `steps`, `batch_size`, `learning_rate`, `patience`,
                `seed`.

        Raises:
            IncompatibleError: If this sampler takes no adapters, or is told the property already.
            InputError: If the rows do not suffice, or a setting is not known.

        Source: Zeni et al. 2025 (MatterGen) for adapters beside a frozen model.
        """
        from pymatgen_ext.adapting import finetuned

        how = {"split": split, "validation": validation, "minutes": minutes, "progress": progress}
        return finetuned(self, structures, values, property, unit, folder, how, settings)

    def save(self, folder: "str | Path") -> None:  # type: ignore[override]  # weights, not the JSON of names
        """Writes the adapters of a fine-tuned sampler; `StructureSampler(name, weights=folder)`
        reads them.

        Raises:
            InputError: If there are none, or the folder holds something.
        """
        from pymatgen_ext.adapting import save

        save(self, folder)

    def as_dict(self) -> dict[str, Any]:
        """Names only.

        Raises:
            InputError: If the sampler has been fine-tuned and not been saved.
        """
        if self.temporary is not None:
            raise InputError(
                f"The adapters of {self.name} are in no lasting folder yet. Save them first: "
                "sampler.save(folder)."
            )
        content: dict[str, Any] = super().as_dict()
        return content
