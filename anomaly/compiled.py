"""Compile functions with numba, whatever an older version of the code has left where the results are kept.

numba keeps what it compiled in files by module, function and line, and with each the time and size of the
source. Before it compares these it unpickles the types that the function was compiled for. They name our
classes: after an upgrade that has renamed one, the files of the version before would end every run.
"""

from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """Return a decorator that compiles a function without Python objects and keeps what was compiled.

    options: those of `numba.njit`, such as parallel and nogil.
    """

    def decorate(function: Callable) -> Any:
        dispatcher = numba.njit(cache=True, **options)(function)
        dispatcher._cache = _Cache(function)
        return dispatcher

    return decorate


class _Cache(FunctionCache):
    """The kept results of one function; those that cannot be understood any more are made anew."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was compiled for some types, None where that is still to be done."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # pickles of other code may fail in any way
            self.flush()
            return None
