"""`crysdiff list`."""

import argparse
import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ase_crysdiff
from ase_crysdiff import registry
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights

#: Groups whose names are those of weights with a card.
_WITH_CARDS = (
    registry.SAMPLERS,
    registry.MOLECULE_SAMPLERS,
    registry.POTENTIALS,
    registry.PREDICTORS,
)


#: Which commands take a part where none is named, by kind and name.
DEFAULTS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("sampler", "chggen"): ("inpaint",),
    ("sampler", "default"): ("sample",),
    ("sampler", "miad"): ("vary",),
    ("sampler", "prototypes"): ("discover",),
    ("sampler", "wyckoff"): ("discover",),
    ("potential", "chgnet"): ("evaluate", "label"),
    ("potential", "dao-p"): ("curate", "discover", "relax"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints every registered part by kind: who brings it, what it is for, what its card says of
    its size or its error, and which commands take it by default.
    """
    parts = installed()
    if options.json:
        print(json.dumps(parts, indent=1, ensure_ascii=False))
        return 0
    width = max(len(part["name"]) for part in parts)
    kind = None
    for part in parts:
        if part["kind"] != kind:
            kind = part["kind"]
            print(f"{kind}:")
        about = f"  {part['purpose']}" if part["purpose"] else ""
        if part["card"]:
            about += f" ({part['card']})" if about else f"  {part['card']}"
        default = f" [default of {', '.join(part['default_of'])}]" if part["default_of"] else ""
        print(f"  {part['name']:{width}} {part['distribution']} {part['version']}{about}{default}")
    return 0


def installed() -> list[dict[str, Any]]:
    """Every registered part, by kind: its name, who brings it, its purpose, what its card says of
    its size or error, and the commands that take it where none is named.
    """
    found = {group: registry.plugins(group) for group in registry.GROUPS}
    parts = []
    for group, plugins in found.items():
        kind = registry.kind_of(group)
        for plugin in plugins:
            has_card = group in _WITH_CARDS
            if group == registry.PREDICTORS:
                purpose = ""
            else:
                purpose = _purpose(plugin, found) if has_card else _docstring(plugin.value)
            parts.append(
                {
                    "kind": kind,
                    "name": plugin.name,
                    "distribution": plugin.distribution,
                    "version": plugin.version,
                    "purpose": purpose,
                    "card": _about(plugin.name) if has_card else "",
                    "default_of": list(DEFAULTS.get((kind, plugin.name), ())),
                }
            )
    return parts


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
        return f"{config['target']} in {config['unit']}{error}"
    if "arrangements" in training:
        return f"{training['crystals']:,} crystals"
    parameters = training.get("parameters")
    return "" if parameters is None else f"{parameters / 1e6:.2f} M parameters"


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
    return " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
