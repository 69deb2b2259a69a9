"""Annotations are checked by beartype, within a scope of jaxtyping where they name arrays.

jaxtyping's own decorator binds the arguments of each call and checks them twice, which takes many
times as long, also where nothing is an array. The checks and the kind of error are the same. The
import hook of `--jaxtyping-packages` decorates with `jaxtyping.jaxtyped`, which importing this
module replaces.
"""

import dataclasses
import functools
import inspect
from types import FunctionType
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

whole = jaxtyping.jaxtyped
check = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))
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
        return whole(fn, typechecker=typechecker)
    hints = {name: _resolved(hint, fn) for name, hint in fn.__annotations__.items()}
    arrays = any(map(_has_arrays, hints.values()))
    if arrays and inspect.isgeneratorfunction(fn):  # its scope must not end before its checks
        checked = whole(fn, typechecker=typechecker)
    else:
        written, fn.__annotations__ = fn.__annotations__, hints
        checked = check(fn)
        fn.__annotations__ = checked.__annotations__ = written
        if arrays:
            checked = _in_a_scope(checked)
    setattr(checked, CHECKED, True)
    return checked


def _in_a_scope(fn):
    """The same function; sizes with one name are one within a call."""

    @functools.wraps(fn)
    def scoped(*args, **kwargs):
        with whole("context"):
            return fn(*args, **kwargs)

    return scoped


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
