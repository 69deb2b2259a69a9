"""The predictors that ship: every folder of `ase_crysdiff/weights` whose card says so is one.

An attribute of this module is the maker of a shipped predictor; underscores stand for the hyphens
of its name. The registry points here, so that shipping a predictor takes its folder and no line of
code. Other packages register theirs by entry point, in the group `ase_crysdiff.predictors`.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ase_crysdiff import registry

if TYPE_CHECKING:
    from ase_crysdiff.predictors.base import Predictor


def __getattr__(name: str) -> "Callable[..., Predictor]":
    label = name.replace("_", "-")
    if label not in registry.shipped(registry.PREDICTORS):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ase_crysdiff.predictors.loading import from_folder

    return partial(from_folder, label)
