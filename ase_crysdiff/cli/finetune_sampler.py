"""`crysdiff finetune-sampler`: a table of a property becomes adapters of a sampler, which can then
be told the property.

Given again after an interruption, it goes on where it was.
"""

import argparse

from ase_crysdiff.campaigns.adapting import AdapterSettings, AdaptOptions, adapt_table
from ase_crysdiff.cli.fields import add_device, add_fields, read_fields
from ase_crysdiff.devices import resolve


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("sampler", help="name of a sampler, see: crysdiff list")
    add_device(parser)
    add_fields(parser, AdaptOptions, positional=False)
    add_fields(parser, AdapterSettings)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains the adapters, then prints what the sampler gains by being told."""
    asked = read_fields(options, AdaptOptions)
    card = adapt_table(
        options.sampler,
        asked,
        read_fields(options, AdapterSettings),
        options.weights,
        resolve(options.device),
    )
    for name, result in card.measured["results"].items():
        interval = " [{:.4g}, {:.4g}]".format(*result["interval"]) if "interval" in result else ""
        print(f"{name}: {result['value']:.4g}{interval}")
    training = card.training
    print(
        f"{options.output}: adapters with {training['parameters']:,} parameters, "
        f"{training['steps']} steps in {60 * training['hours']:.1f} minutes; crysdiff sample "
        f"{options.sampler} --weights {options.output} --property {asked.property}=VALUE"
    )
    return 0
