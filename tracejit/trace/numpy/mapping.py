"""Python functions of elements and of vectors, applied everywhere: traced once, and made to work on stacks.

A function whose operations all know how to work on stacks becomes one of whole arrays; any other becomes the body of a
loop.
"""

import functools
import itertools
import math

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.symbolic.batching import batch_nodes
from tracejit.symbolic.ir import new_variable
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import zeros
from tracejit.symbolic.types import Type
from tracejit.trace import convert
from tracejit.trace.control import staged_for
from tracejit.trace.numpy.common import axis_of, known_dtype
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import PYTHON_DTYPES, Tracer, as_tracer, wrap

_functions = np.lib._function_base_impl


def mapped(function, stacks, present):
    """Return what a function gives for each row of some stacks, as stacks: a list of Tracers, and if it gave a tuple.

    Parameters
    ----------
    function : callable
        Takes one Tracer per stack, and returns an array-like or a tuple of them.
    stacks : list of Tracer
        Arrays with one leading axis, of one length.
    present : callable
        ``present(node) -> Tracer``: a row as the function is to see it.
    """
    n = stacks[0].shape[0]
    rows = [new_variable(Type(s.dtype, s.shape[1:])) for s in stacks]

    def call(nodes):
        found = function(*(present(wrap(v)) for v in nodes))
        many = isinstance(found, tuple)
        return [as_tracer(f) for f in (found if many else (found,))], many

    results, many = call(rows)
    try:
        nodes = batch_nodes([r.node for r in results], {v: s.node for v, s in zip(rows, stacks)}, n)
        return [wrap(node) for node in nodes], many
    except UnsupportedError:
        pass
    places = tuple(wrap(zeros(Type(r.dtype, (n, *r.shape)))) for r in results)

    def body(k, state):
        found, _ = call([s[k].node for s in stacks])
        for place, value in zip(state, found):
            place[k] = value
        return state
    return list(staged_for(n, body, places, what="loop over elements")), many


# ---------------------------------------------------------------- np.vectorize
@implements(np.vectorize, differs="the function is traced once, so its results have the same types everywhere")
class Vectorized:
    """Return a function that applies `pyfunc` to every element of its broadcast arguments.

    With a `signature` it applies to every vector or matrix of them.
    """

    def __init__(self, pyfunc=None, otypes=None, doc=None, excluded=None, cache=False, signature=None):
        self.pyfunc, self.signature, self.cache = pyfunc, signature, cache
        self.excluded = set() if excluded is None else set(excluded)
        self.otypes = otypes if otypes is None or isinstance(otypes, str) else "".join(np.dtype(t).char for t in otypes)
        if isinstance(otypes, str) and set(otypes) - set(np.typecodes["All"]):
            raise ValueError(f"Invalid otype specified: {otypes}")
        self._core = None if signature is None else _functions._parse_gufunc_signature(signature)
        if pyfunc is not None:
            functools.update_wrapper(self, pyfunc, updated=())

    def __call__(self, *args, **kwargs):
        if self.pyfunc is None:  # as a decorator with options
            return Vectorized(args[0], self.otypes, None, self.excluded, self.cache, self.signature)
        names = [n for n in kwargs if n not in self.excluded]
        places = [i for i in range(len(args)) if i not in self.excluded]
        pyfunc = convert.twin(self.pyfunc)

        def function(*varied):
            given, named = list(args), dict(kwargs)
            for i, v in zip(places, varied):
                given[i] = v
            named.update(zip(names, varied[len(places):]))
            return pyfunc(*given, **named)
        varied = [as_tracer(v) for v in [*(args[i] for i in places), *(kwargs[n] for n in names)]]
        if self._core is not None:
            return self._on_arrays(function, varied)
        return self._on_elements(function, varied)

    def _on_elements(self, function, args):
        if not args:
            return as_tracer(function())
        shape = np.broadcast_shapes(*(a.shape for a in args))
        if 0 in shape and self.otypes is None:
            raise ValueError("cannot call `vectorize` on size 0 inputs unless `otypes` is set")
        stacks = [np.broadcast_to(a, shape).reshape(-1) for a in args]
        types = self.otypes
        if types is None and any(a.dtype not in PYTHON_DTYPES.values() for a in args):
            # what the function makes of NumPy's scalars tells the types
            scalars = [wrap(new_variable(Type(a.dtype)), scalar=True) for a in args]
            found = function(*scalars)
            types = [as_tracer(f).dtype for f in (found if isinstance(found, tuple) else (found,))]
        # but it works on Python's numbers
        numbers = [wrap(cast(s.node, PYTHON_DTYPES[s.python_type])) for s in stacks]
        results, many = mapped(function, numbers, lambda row: wrap(row.node, weak=True))
        return self._typed([r.reshape(shape) for r in results], many, types)

    def _typed(self, results, many, types):
        if types is not None:
            results = [r.astype(known_dtype(t)) for r, t in zip(results, types)]
        return tuple(results) if many else results[0]

    def _on_arrays(self, function, args):
        inputs, outputs = self._core
        if len(args) != len(inputs):
            raise TypeError(f"wrong number of positional arguments: expected {len(inputs)}, got {len(args)}")
        outer, sizes = _functions._parse_input_dimensions([a.shadow for a in args], inputs)
        if 0 in outer:
            if self.otypes is None:
                raise ValueError("cannot call `vectorize` on size 0 inputs unless `otypes` is set")
            if any(d not in sizes for dims in outputs for d in dims):
                raise ValueError("cannot call `vectorize` with a signature including new output dimensions on size 0 "
                                 "inputs")
        count = int(np.prod(outer, dtype=int))
        stacks = []
        for a, dims in zip(args, inputs):
            core = a.shape[a.ndim - len(dims):]
            stacks.append(np.broadcast_to(a, (*outer, *core)).reshape(count, *core))
        results, many = mapped(function, stacks, lambda row: wrap(row.node, scalar=row.ndim == 0))
        if len(results) != len(outputs):
            raise ValueError(f"wrong number of outputs from pyfunc: expected {len(outputs)}, got {len(results)}")
        for r, dims in zip(results, outputs):
            if r.ndim - 1 != len(dims) or any(sizes.setdefault(d, n) != n for d, n in zip(dims, r.shape[1:])):
                raise ValueError(f"inconsistent size for core dimensions {dims!r} of the outputs {r.shape[1:]}")
        return self._typed([r.reshape(*outer, *r.shape[1:]) for r in results], len(outputs) > 1, self.otypes)


# ---------------------------------------------------------------- along axes
@implements(np.apply_along_axis)
def apply_along_axis(func1d, axis, arr, *args, **kwargs):
    """Return a function applied to every vector along an axis."""
    x = as_tracer(arr)
    axis = axis_of(axis, x.ndim)
    x = np.moveaxis(x, axis, -1)
    outer = x.shape[:-1]
    if 0 in outer:
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    rows = x.reshape(math.prod(outer), x.shape[-1])
    (found,), _ = mapped(lambda v: as_tracer(func1d(v, *args, **kwargs)), [rows],
                         lambda row: wrap(row.node))
    out = found.reshape(*outer, *found.shape[1:])
    k, m = len(outer), found.ndim - 1
    return out.transpose([*range(axis), *range(k, k + m), *range(axis, k)])


@implements(np.apply_over_axes)
def apply_over_axes(func, a, axes):
    """Return a function applied along several axes in turn."""
    x = as_tracer(a)
    ndim = x.ndim
    for axis in (axes if isinstance(axes, (list, tuple)) else (axes,)):
        axis = axis + ndim if axis < 0 else axis
        out = as_tracer(func(x, axis))
        x = out if out.ndim == x.ndim else np.expand_dims(out, axis)
        if x.ndim != ndim:
            raise ValueError("function is not returning an array of the correct shape")
    return x


@implements(np.piecewise, differs="a function is called, too, where its condition holds nowhere")
def piecewise(x, condlist, funclist, *args, **kw):
    """Return for each element what the function of the last condition that holds gives."""
    x = as_tracer(x)
    if isinstance(condlist, (Tracer, np.ndarray)):
        condlist = list(as_tracer(condlist)) if np.ndim(condlist) > 1 else [condlist]
    elif not isinstance(condlist[0], (list, Tracer, np.ndarray)) and x.ndim != 0:
        condlist = [condlist]
    masks = [as_tracer(c).astype(bool) for c in condlist]
    n = len(funclist)
    if n == len(masks) + 1:
        masks.append(np.logical_not(functools.reduce(np.logical_or, masks)))
    elif n != len(masks):
        raise ValueError(f"with {len(masks)} condition(s), either {len(masks)} or {len(masks) + 1} functions are "
                         "expected")
    y = np.zeros_like(x)
    if x.ndim == 0:
        for mask, function in zip(masks, funclist):
            value = as_tracer(function(x, *args, **kw) if callable(function) else function)
            y = np.where(mask.reshape(()), value.astype(x.dtype).reshape(()), y)
        return y
    for mask, function in itertools.zip_longest(masks, funclist):
        y[mask] = function(x[mask], *args, **kw) if callable(function) else function
    return y
