"""Sparse Jacobians and Hessians: patterns read off the graph, colored, and found by a few products."""

import functools

import numpy as np

from tracejit.derivatives import Moving, positions
from tracejit.errors import NotDifferentiableError, user_frame
from tracejit.symbolic import coloring
from tracejit.symbolic.autodiff import grad as gradient_of
from tracejit.symbolic.autodiff import jvp_nodes, pull_back
from tracejit.symbolic.batching import batch_nodes
from tracejit.symbolic.graph import Graph, substitute
from tracejit.symbolic.ir import const, new_variable
from tracejit.symbolic.ops.index import gather
from tracejit.symbolic.ops.scalar import cast, equal
from tracejit.symbolic.ops.shape import broadcast, concatenate, full, iota, reshape, zeros
from tracejit.symbolic.sparsity import pattern
from tracejit.symbolic.types import I64, Type
from tracejit.trace.sparse import SparseTracer, container, literal
from tracejit.trace.tracer import capture, wrap
from tracejit.trace.values import concrete
from tracejit.transforms import Transform

__all__ = ["sparse_hessian", "sparse_jacobian"]

#: Elements up to which positions are written into the code.
_SMALL = 64


def sparse_jacobian(fun, argnums=0, mode=None):
    """Return the function that gives the Jacobian of `fun` as a sparse array.

    The pattern is read off the graph once per signature, and holds for all values; its columns (or rows, or both) are
    colored, and all of one color are found by one product with the Jacobian. That of an elementwise function costs one,
    that of a banded one as many as the band is wide, that of an arrow three.

    Parameters
    ----------
    fun : callable
        Takes a real array and returns one.
    argnums : int
        The positional argument to differentiate.
    mode : {None, "fwd", "rev"}
        Tangents or cotangents; None takes what costs least, also some of each.

    Returns
    -------
    callable
        Same arguments as `fun`; gives a ``scipy.sparse.csr_array`` of shape ``(result.size, argument.size)``, whose
        rows and columns are in C order of the elements. It holds a place for each element that may differ from 0.
        Its ``sparsity(*args)`` gives the pattern alone, as a sparse array of bools.

    Raises
    ------
    NotDifferentiableError
        Where the argument or the result is not one floating array, or an operation has no derivative.

    Notes
    -----
    Where positions depend on integer arguments or captured arrays (index arrays, those of a sparse matrix), the pattern
    is that of the call, and another content is another compilation. Curtis, Powell and Reid 1974; Gebremedhin, Manne
    and Pothen 2005, "What color is your Jacobian?".
    """
    if mode not in (None, "fwd", "rev"):
        raise ValueError(f"mode is None, 'fwd' or 'rev', not {mode!r}")
    return _Sparse(fun, functools.partial(_jacobian, mode=mode), argnums, (sparse_jacobian, (fun, argnums, mode)))


def sparse_hessian(fun, argnums=0):
    """Return the function that gives the Hessian of a scalar `fun` as a sparse array; see `sparse_jacobian`.

    One product with the Hessian (a tangent of the gradient) is taken per color of a star coloring, which uses that the
    matrix is symmetric.
    """
    return _Sparse(fun, _hessian, argnums, (sparse_hessian, (fun, argnums)))


class _Sparse(Transform):
    """A derivative as a sparse array; `how` finds pattern and numbers of it."""

    def __init__(self, fun, how, argnums, again):
        def found(args, kwargs, what):
            return how(_call(fun, args, kwargs, argnums, again[0].__name__), what)
        super().__init__(fun, lambda *args, **kwargs: found(args, kwargs, _numbers), again)
        self._pattern = Transform(fun, lambda *args, **kwargs: found(args, kwargs, _pattern_alone), again)

    def sparsity(self, *args, **kwargs):
        """Return the pattern for these arguments, as a sparse array of bools."""
        return self._pattern(*args, **kwargs)


def _call(fun, args, kwargs, argnums, what):
    """Return the call of a function, of which one array moves and one is the result."""
    if type(argnums) is not int:
        raise TypeError(f"{what}: argnums is one int, not {argnums!r}")
    call = Moving(fun, args, kwargs, positions(argnums, args, what))
    outs = [spec for spec in call.traced.outputs if spec[0] == "out"]
    fine = len(call.leaves) == 1 and len(outs) == 1 == len(call.traced.outputs)
    kinds = [x.type.kind for x in call.leaves] + [call.graph.outs[spec[1]].type.kind for spec in outs]
    if not fine or set(kinds) != {"f"}:
        raise NotDifferentiableError(
            f"{what} needs a function from one real array to one, and this one takes {len(call.leaves)} and returns "
            f"{len(call.traced.outputs)} ({', '.join(kinds)})", where=user_frame(),
            do="Put the arguments into one array, and the results, or differentiate with jacobian.")
    call.finish(call.graph.call(call.inputs))
    call.out = call.graph.outs[outs[0][1]]
    return call


def _jacobian(call, finish, mode):
    return finish(call, call.out, lambda places: coloring.plan(places, mode))


def _hessian(call, finish):
    if call.out.shape != ():
        raise NotDifferentiableError(f"sparse_hessian needs a function that returns a scalar, not {call.out.type}",
                                     where=user_frame(), do="Reduce the result with .sum() or .mean().")
    graph = call.graph
    slope = gradient_of(Graph(graph.params, [call.out], graph.captures), (0,)).outs[0]
    return finish(call, slope, coloring.symmetric, symmetric=True)


# ---------------------------------------------------------------- in the trace
def _places(call, out, symmetric):
    """Return the pattern of the derivative of a node by the argument, by compressed rows."""
    leaf = call.graph.inputs()[0]
    direction = new_variable(leaf.type)
    tangent, = jvp_nodes([out], {leaf: direction})
    outside = dict(zip(call.graph.inputs(), call.inputs))

    def ask(param):
        return concrete(wrap(outside[param]), "the positions that a sparse derivative depends on")
    shape = out.type.size, leaf.type.size
    found = None if tangent is None else pattern([tangent], direction, ask)[0]
    if found is None:
        import scipy.sparse  # a function whose result depends on nothing

        return scipy.sparse.csr_array(shape, dtype=bool)
    if symmetric:
        found = found + found.T.tocsr()
    found.sum_duplicates()
    return found


def _pattern_alone(call, out, make, symmetric=False):
    return literal(_places(call, out, symmetric))


def _numbers(call, out, make, symmetric=False):
    """Return the derivative as a sparse array: its numbers gathered from a few products."""
    places = _places(call, out, symmetric)
    plan, leaf = make(places), call.graph.inputs()[0]
    products = []
    if plan.forward:
        direction = new_variable(leaf.type)
        tangent, = jvp_nodes([out], {leaf: direction})
        products.append(_products(tangent, direction, plan.columns, plan.forward))
    if plan.backward:
        direction = new_variable(out.type)
        cotangent, = pull_back([out], [direction], [leaf])
        products.append(_products(cotangent, direction, plan.rows, plan.backward))
    if products:
        products = substitute(products, dict(zip(call.graph.inputs(), call.inputs)))
        together = concatenate(products, axis=0) if len(products) > 1 else products[0]
        numbers = gather(cast(together, out.dtype), _known(plan.places).node)
    else:
        numbers = zeros(Type(out.dtype, (0,)))
    return SparseTracer(container("csr", True), places.shape, (wrap(numbers), _known(places.indices),
                                                              _known(places.indptr)))


def _products(node, direction, colors, count):
    """Return a linear function of a variable for the sums of the unit vectors of each color, one after the other."""
    if count == 1 and np.all(colors == 0):
        seeds = full(1, direction.type)
        return _flat(batch_nodes([node], {direction: reshape(seeds, (1, *direction.shape))}, 1)[0])
    shape = count, len(colors)
    number = broadcast(iota(I64, (count,)), shape, (0,))
    hit = equal(number, broadcast(_known(colors.astype(np.int64)).node, shape, (1,)))
    seeds = reshape(cast(hit, direction.dtype), (count, *direction.shape))
    return _flat(batch_nodes([node], {direction: seeds}, count)[0])


def _flat(node):
    return reshape(node, (node.type.size,))


def _known(array):
    """Return positions as a tracer: a literal, or an array from outside where they are many."""
    return wrap(const(array)) if array.size <= _SMALL else capture(array)
