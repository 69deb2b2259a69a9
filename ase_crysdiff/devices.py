"""Where to compute: what a user may write, and the one error for what cannot be used."""

from ase_crysdiff.errors import InputError


def resolve(name: str) -> str:
    """The device of a name, which is tried.

    Args:
        name: "cpu", "cuda", "cuda:1" or any other name of torch, or "auto" for a GPU where there is
            one and the CPU elsewhere.

    Raises:
        InputError: If torch does not know the device, or cannot use it here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        if reason.startswith("Expected one of"):  # and then torch's own list of twenty
            reason = "torch knows no device of that name"
        raise InputError(
            f"device {name!r} cannot be used ({reason}). Use 'cpu', 'cuda' or 'auto'."
        ) from error
    return name
