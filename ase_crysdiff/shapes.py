"""Names for annotated tensor shapes, in one place.

Axis names used throughout: `crystals`, `atoms` (all atoms of a batch, concatenated), `rows`
(crystals or atoms). The annotations are checked in the test run only. Training must run on machines
that have torch but not jaxtyping; there the names below stand for plain tensors.
"""

from torch import Tensor

try:
    from jaxtyping import Bool, Float, Int
except ModuleNotFoundError:

    class _Plain:
        def __class_getitem__(cls, item: object) -> type[Tensor]:
            return Tensor

    Bool = Float = Int = _Plain  # type: ignore[assignment]

__all__ = ["Bool", "Float", "Int", "Tensor"]
