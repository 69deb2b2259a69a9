"""`crysdiff cite`: BibTeX of the works behind what was used."""

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "names", nargs="*", help="samplers, potentials, predictors, encoders; none for all works"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the entries."""
    from ase_crysdiff.errors import UnknownNameError, did_you_mean
    from ase_crysdiff.report.references import COMMON, named, works, works_of

    known = works()
    keys = list(known) if not options.names else [*COMMON]
    for name in options.names:
        if name not in named():
            raise UnknownNameError(
                f"No works are known for {name!r}.{did_you_mean(name, named(), 1)} Known: "
                f"{', '.join(named())}. Plugins say themselves what to cite."
            )
        keys += works_of(name)
    print("\n\n".join(known[key] for key in dict.fromkeys(keys)))
    return 0
