"""Recipes: papers as parts lists. Each module has `build(config)` and `configure(data)`."""

from importlib import import_module
from types import ModuleType

from ase_crysdiff.errors import UnknownNameError

_MODULES = {
    "miad": "miad", "dao-g": "dao_g", "dao-g-flow": "dao_g_flow", "dao-p": "dao_p", "dao-p-noisy": "dao_p_noisy",
    "crysldnet": "crysldnet", "denoising": "denoising",
}  # fmt: skip


def recipe(name: str) -> ModuleType:
    """The recipe of a model name: the name itself, or the part of it before the data set, as in `dao-g-perov5`.

    Raises:
        UnknownNameError: If there is none.
    """
    for known in sorted(_MODULES, key=len, reverse=True):
        if name == known or name.startswith(f"{known}-"):
            return import_module(f"{__name__}.{_MODULES[known]}")
    raise UnknownNameError(f"No recipe trains {name!r}. Known: {', '.join(_MODULES)}, and names that begin with one of them.")
