"""Versions of the libraries that numbers depend on."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The version of each library; those that are not installed, such as an extra's, are left out.

    Args:
        libraries: Names of distributions.
    """
    found = {}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
