"""Annotations are checked by jaxtyping where they name arrays, by beartype alone elsewhere.

jaxtyping binds the arguments of a call and checks them twice, so that shapes can be compared. That
takes many times as long as beartype's check, and most functions take no arrays. The errors are the
same. The import hook of `--jaxtyping-packages` decorates with `jaxtyping.jaxtyped`, which importing
this module replaces.
"""

import dataclasses
import functools
from types import FunctionType
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

with_shapes = jaxtyping.jaxtyped
without_shapes = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))
CHECKED = "__lean_checks__"


def jaxtyped(fn=None, *, typechecker=None):
    """`jaxtyping.jaxtyped`, for functions and dataclasses of an imported package."""
    if fn is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if isinstance(fn, type):
        if dataclasses.is_dataclass(fn) and not hasattr(fn.__init__, CHECKED):
            fn.__init__ = jaxtyped(fn.__init__, typechecker=typechecker)
        return fn
    if not isinstance(fn, FunctionType):
        return with_shapes(fn, typechecker=typechecker)
    hints = {name: _resolved(hint, fn) for name, hint in fn.__annotations__.items()}
    if any(map(_has_arrays, hints.values())):
        checked = with_shapes(fn, typechecker=typechecker)
    else:
        written, fn.__annotations__ = fn.__annotations__, hints
        checked = without_shapes(fn)
        fn.__annotations__ = checked.__annotations__ = written
    setattr(checked, CHECKED, True)
    return checked


def _resolved(hint, fn):
    """An annotation with its names looked up; Any where they are unknown, as in jaxtyping."""

    def probe(value):
        pass

    probe.__annotations__ = {"value": hint}
    try:
        return get_type_hints(probe, fn.__globals__, include_extras=True)["value"]
    except Exception:
        return Any


def _has_arrays(hint):
    if isinstance(hint, list):  # of a Callable
        return any(map(_has_arrays, hint))
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_has_arrays, get_args(hint)))


jaxtyping.jaxtyped = jaxtyped
