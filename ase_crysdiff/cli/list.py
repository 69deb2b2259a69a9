"""`crysdiff list`."""

import argparse
import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

import ase_crysdiff
from ase_crysdiff import registry
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights

#: Groups whose names are those of weights with a card.
_WITH_CARDS = (registry.SAMPLERS, registry.POTENTIALS, registry.PREDICTORS)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints every registered part by kind: who brings it, what it is for, and what its card says
    of its size or its error.
    """
    found = {group: registry.plugins(group) for group in registry.GROUPS}
    width = max(len(plugin.name) for plugins in found.values() for plugin in plugins)
    for group, plugins in found.items():
        if plugins:
            print(f"{registry.kind_of(group)}:")
        for plugin in plugins:
            if group in _WITH_CARDS:
                purpose = "" if group == registry.PREDICTORS else _purpose(plugin, found)
                about = purpose + _about(plugin.name)
            else:
                about = _docstring(plugin.value)
            print(f"  {plugin.name:{width}} {plugin.distribution} {plugin.version}{about}")
    return 0


def _purpose(plugin: registry.Plugin, found: Mapping[str, Sequence[registry.Plugin]]) -> str:
    """What it is for: as the recipe of its weights says, or else as it says itself."""
    try:
        recipe = weights.read_card(weights.find(plugin.name)).config.get("recipe")
    except CheckpointError:
        recipe = plugin.name
    recipes = (r.value for r in found.get(registry.RECIPES, ()) if r.name == recipe)
    value = next(recipes, plugin.value)
    # A name that is only bound to other arguments of a function has no sentence of its own.
    return _docstring(value, own_only=value == plugin.value)


def _about(name: str) -> str:
    """What the card of a set of weights says of their size, or of the error of a predictor."""
    try:
        card = weights.read_card(weights.find(name))
    except CheckpointError:
        return ""
    training, config = card.training, card.config
    if config.get("kind") == "predictor":
        error = next(
            (
                f", MAE {r['value']:.3g}"
                for name, r in card.measured.get("results", {}).items()
                if "MAE" in name
            ),
            "",
        )
        return f"  {config['target']} in {config['unit']}{error}"
    if "arrangements" in training:
        return f" ({training['crystals']:,} crystals)"
    parameters = training.get("parameters")
    return "" if parameters is None else f" ({parameters / 1e6:.2f} M parameters)"


def _docstring(value: str, own_only: bool = False) -> str:
    """The first sentence of a part of ours. Its file is read and not imported, which takes seconds
    where torch is needed.
    """
    module, _, attribute = value.partition(":")
    home = Path(ase_crysdiff.__file__).parent
    file = home.parent.joinpath(*module.split(".")).with_suffix(".py")
    if not module.startswith("ase_crysdiff.") or not file.is_file():
        return ""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    made = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute
    ]
    if own_only and not made:
        return ""
    text = ast.get_docstring(made[0] if made else tree) or ""
    sentence = " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    return f"  {sentence}" if sentence else ""
