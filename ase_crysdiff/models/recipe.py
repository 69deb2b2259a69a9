"""Recipes by name: how a config becomes a network. Papers as parts lists, registered in
`ase_crysdiff.recipes`.
"""

from typing import Any

from ase_crysdiff import registry
from ase_crysdiff.errors import CheckpointError, UnknownNameError
from ase_crysdiff.models import weights


def recipe(name: str) -> Any:
    """The recipe of a model: the registered name itself, or the part of it before the data set.

    Args:
        name: Such as `dao-g-flow`, or `dao-g-perov5`, which the recipe `dao-g` trains.

    Raises:
        UnknownNameError: If there is none.
    """
    known = registry.names(registry.RECIPES)
    for candidate in sorted(known, key=len, reverse=True):
        if name == candidate or name.startswith(f"{candidate}-"):
            return registry.load(registry.RECIPES, candidate)
    raise UnknownNameError(
        f"No recipe trains {name!r}. Known: {', '.join(known)}, and names that begin with one of "
        "them."
    )


def kind_of(name: str) -> str | None:
    """What a name stands for, by the card of its weights, else by its recipe; None where there is
    neither.
    """
    try:
        return str(weights.read_card(weights.find(name)).config.get("kind", "sampler"))
    except CheckpointError:
        pass
    try:
        return str(getattr(recipe(name), "KIND", "sampler"))
    except UnknownNameError:
        return None
