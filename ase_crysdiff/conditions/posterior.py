"""What is known of the clean value when the noisy one is given."""

from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.processes.joint import Component


def scales(component: Component, t: float) -> tuple[float, float]:
    """Factor of the data and standard deviation of the noise in a component at t.

    Raises:
        IncompatibleError: If its process has none, as on classes.
    """
    found = component.process.scales(t)
    if found is None:
        raise IncompatibleError(
            f"Energy guidance moves components that are data plus noise; {component.name!r} under "
            f"{type(component.process).__name__} is none."
        )
    return found


def posterior_variance(signal: float, noise: float, variance: float) -> float:
    """Variance of the clean value given the noisy one: σ²r²/(α²r² + σ²) for data of variance r²;
    that of the data where a state holds nothing of them.
    """
    if signal == 0:
        return variance
    return noise**2 * variance / (signal**2 * variance + noise**2)
