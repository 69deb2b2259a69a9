"""The name `daop` in ASE's own list of calculators."""

import warnings


def register() -> None:
    """Makes `get_calculator_class("daop")` and `ase run daop` work; calling it again changes
    nothing. It never raises.
    """
    try:
        from ase.calculators import calculator

        from ase_crysdiff.ase_calculator.daop import DAOPCalculator

        if (
            "daop" not in calculator.external_calculators
        ):  # ASE's function asserts that the name is new
            calculator.register_calculator_class("daop", DAOPCalculator)
    except Exception as error:
        warnings.warn(f"daop was not registered with ASE: {error!r}", stacklevel=2)
