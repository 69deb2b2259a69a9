"""`crysdiff list`."""

import argparse
import ast
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
    """Prints every registered part by kind: who brings it, and what its card says."""
    found = {group: registry.plugins(group) for group in registry.GROUPS}
    width = max(len(plugin.name) for plugins in found.values() for plugin in plugins)
    for group, plugins in found.items():
        if plugins:
            print(f"{registry.kind_of(group)}:")
        for plugin in plugins:
            about = _about(plugin.name) if group in _WITH_CARDS else _docstring(plugin.value)
            print(f"  {plugin.name:{width}} {plugin.distribution} {plugin.version}{about}")
    return 0


def _about(name: str) -> str:
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
        return f"  {training['crystals']:,} crystals, {training['data'].partition(':')[0]}"
    return (
        f"  {training.get('parameters', 0) / 1e6:.2f} M parameters, "
        f"{training.get('data', 'unknown data')}"
    )


def _docstring(value: str) -> str:
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
    text = ast.get_docstring(made[0] if made else tree) or ""
    sentence = " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    return f"  {sentence}" if sentence else ""
