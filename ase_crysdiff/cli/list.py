"""`crysdiff list`."""

import argparse

from ase_crysdiff import registry
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints every sampler and predictor, who brings it, and what its card says."""
    for group in (registry.SAMPLERS, registry.PREDICTORS):
        for plugin in registry.plugins(group):
            print(f"{plugin.name:16} {plugin.distribution} {plugin.version}{_about(plugin.name)}")
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
