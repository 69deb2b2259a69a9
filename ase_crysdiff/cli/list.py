"""`crysdiff list`."""

import argparse

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
    for group in registry.GROUPS:
        plugins = registry.plugins(group)
        if plugins:
            print(f"{registry.kind_of(group)}:")
        for plugin in plugins:
            about = _about(plugin.name) if group in _WITH_CARDS else ""
            print(f"  {plugin.name:18} {plugin.distribution} {plugin.version}{about}")
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
    return (
        f"  {training.get('parameters', 0) / 1e6:.2f} M parameters, "
        f"{training.get('data', 'unknown data')}"
    )
