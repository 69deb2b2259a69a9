"""What the steps that place atoms ask of a sampler."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from pymatgen.core import Lattice, Structure


@runtime_checkable
class Placer(Protocol):
    """Places atoms in cells that are given and kept.

    Both methods draw by number: the same number with the same seed gives the same structure,
    whatever else is drawn.
    """

    @property
    def name(self) -> str:
        """Tells it from others, together with `version`."""

    @property
    def version(self) -> str:
        """Of its weights; changes when its structures do."""

    def place(
        self,
        lattice: Lattice,
        contents: Mapping[str, int],
        number: int,
        *,
        seed: int,
        steps: int | None = None,
    ) -> Structure:
        """A crystal in an empty cell.

        Args:
            lattice: The cell.
            contents: Number of atoms of each element.
            number: Of the draw.
            seed: Of the run.
            steps: Of the reverse process; None takes the placer's own.

        Returns:
            The crystal; its property `crysdiff_weights` names the weights that were used.

        Raises:
            InputError: If no sound crystal was drawn.
            IncompatibleError: If the placer cannot serve the request at all.
        """

    def fill(
        self,
        framework: Structure,
        guests: Mapping[str, int],
        numbers: Sequence[int],
        *,
        seed: int,
        steps: int | None = None,
        repeats: int = 1,
    ) -> Mapping[int, Structure]:
        """Fillings of a framework, which stays where it is.

        Args:
            framework: The framework.
            guests: Number of atoms of each element to be placed in it.
            numbers: Of the draws.
            seed: Of the run.
            steps: Of the reverse process; None takes the placer's own.
            repeats: How often guests and framework are brought into agreement, 1 or more.

        Returns:
            Filled frameworks by number; draws that gave no sound crystal are absent.

        Raises:
            InputError: If no filling was sound, or there is no room for the guests.
            IncompatibleError: If the placer cannot serve the request at all.
        """
