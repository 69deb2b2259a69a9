"""What may become of any input."""

from jaxtyping import TypeCheckError

from ase_crysdiff.errors import CrysDiffError


def answer(make):
    """The value, or None if it is refused on purpose and in words; other exceptions pass."""
    try:
        return make()
    except (CrysDiffError, TypeCheckError) as error:  # the latter where tests check annotations
        said = str(error).strip()
    assert said
    return None
