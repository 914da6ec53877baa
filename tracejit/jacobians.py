"""Matrices of derivatives: Jacobians, Hessians, and products with Hessians."""

from tracejit.derivatives import Moving, grad, jvp, positions
from tracejit.errors import NotDifferentiableError, user_frame
from tracejit.symbolic import dims
from tracejit.symbolic import jacobians as graphs
from tracejit.symbolic.ops.shape import zeros
from tracejit.trace.tracer import wrap
from tracejit.transforms import Transform

__all__ = ["hessian", "hvp", "jacfwd", "jacobian", "jacrev"]


def jacfwd(fun, argnums=0, has_aux=False, holomorphic=False):
    """Return the function that gives the Jacobian of `fun` in forward mode, all columns at once.

    It costs about as much as `fun` on a batch of as many elements as the arguments have numbers: the better choice
    where they are fewer than the results. Parameters, result and errors are those of `jacobian`; results may be
    complex.
    """
    return _transform(jacfwd, fun, argnums, has_aux, holomorphic)


def jacrev(fun, argnums=0, has_aux=False, holomorphic=False):
    """Return the function that gives the Jacobian of `fun` in reverse mode, all rows at once.

    It costs about as much as `fun` on a batch of as many elements as the results have numbers: the better choice where
    they are fewer than the arguments. Parameters, result and errors are those of `jacobian`; arguments may be complex.
    """
    return _transform(jacrev, fun, argnums, has_aux, holomorphic)


def jacobian(fun, argnums=0, has_aux=False, holomorphic=False):
    """Return the function that gives the Jacobian of `fun`, in the mode that is cheaper for its shapes.

    Parameters
    ----------
    fun : callable
        Returns an array of floats, or a nest of them; ``(value, aux)`` where `has_aux`.
    argnums : int or tuple of int
        The positional arguments to differentiate; each a float array, a Python float, or any nesting of them.
    has_aux : bool
        Whether `fun` returns auxiliary results that are passed on: the result is ``(jacobian, aux)`` then.
    holomorphic : bool
        Whether `fun` is a holomorphic function from complex numbers to complex numbers.

    Returns
    -------
    callable
        Same arguments as `fun`; returns for each array of the value an array of shape ``value.shape + argument.shape``:
        nested as the value is, and at each place of it as the argument is (a tuple of them where `argnums` is one).

    Raises
    ------
    NotDifferentiableError
        For integers among the arguments or results, for complex ones without `holomorphic` (forward mode takes complex
        results of real arguments, reverse mode real results of complex arguments), or an operation without a
        derivative.
    """
    return _transform(jacobian, fun, argnums, has_aux, holomorphic)


def hessian(fun, argnums=0, has_aux=False, holomorphic=False):
    """Return the function that gives the second derivatives of `fun`: forward mode over reverse mode.

    Parameters are those of `jacobian`. For a scalar function of one array x the result has the shape
    ``x.shape + x.shape``; for others it is the Jacobian of the Jacobian, nested accordingly.
    """
    rows = jacrev(fun, argnums, has_aux, holomorphic)
    inline = jacfwd(rows, argnums, has_aux, holomorphic)._inline
    return Transform(fun, inline, (hessian, (fun, argnums, has_aux, holomorphic)))


def hvp(fun, argnums=0):
    """Return the function that gives products of the Hessian of `fun` with vectors: a gradient, differentiated forward.

    The Hessian itself is never made, and a product costs a few times as much as `fun`.

    Parameters
    ----------
    fun : callable
        Returns a real scalar.
    argnums : int or tuple of int
        The positional arguments to differentiate.

    Returns
    -------
    callable
        ``hvp(fun)(x, v, *others)``: the arguments of `fun`, and right behind the one that is differentiated the vector,
        nested and shaped as that is. In this order `scipy.optimize.minimize` calls its `hessp`. Where `argnums` is a
        tuple, the vectors are a tuple behind the last of these arguments. The product is nested as the vector is.
    """
    slopes = grad(fun, argnums)

    def inline(*args, **kwargs):
        places, primals, vector = _taken(argnums, args)

        def moved(*moving):
            given = list(primals)
            for k, x in zip(places, moving):
                given[k] = x
            gradient = slopes._inline(*given, **kwargs)
            return (gradient,) if isinstance(argnums, int) else gradient
        vectors = (vector,) if isinstance(argnums, int) else tuple(vector)
        product = jvp(moved, tuple([primals[k] for k in places]), vectors)[1]
        return product[0] if isinstance(argnums, int) else product

    return Transform(fun, inline, (hvp, (fun, argnums)))


def _taken(argnums, args):
    """Return the places of what is differentiated, the arguments, and the vector that stood behind those places."""
    count = len(args) - 1
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not -count <= number < count:
            raise ValueError(f"hvp: argnums={number}, but the function was called with {max(count, 0)} arguments and a "
                             "vector")
    places = [number % count for number in numbers]
    at = max(places) + 1
    return places, [*args[:at], *args[at + 1:]], args[at]


# ---------------------------------------------------------------- one Jacobian
def _transform(which, fun, argnums, has_aux, holomorphic):
    what = which.__name__

    def inline(*args, **kwargs):
        numbers = positions(argnums, args, what, holomorphic)
        call = Moving(fun, args, kwargs, numbers)
        value = call.value(has_aux, what)
        graph = call.reduced(value)
        forward = {jacfwd: True, jacrev: False, jacobian: _is_forward(graph, len(call.leaves))}[which]
        _check_kinds(what, graph, len(call.leaves), forward, holomorphic)
        nodes = graphs.jacobian(graph, range(len(call.leaves)), forward).call(call.inputs)
        result = call.finish(call.graph.call(call.inputs))
        width = len(call.leaves)

        def block(k, shape):
            """Return the derivatives of one leaf of the value, nested as the arguments are."""
            pieces = nodes[k * width:(k + 1) * width] if k is not None else [
                zeros(x.type.with_shape((*shape, *x.type.shape))) for x in call.leaves]
            return call.in_place_of(argnums, numbers, [wrap(p, scalar=not p.shape and (x.scalar or x.weak))
                                                       for p, x in zip(pieces, call.leaves)])
        rows = value.each(block, what)
        return (rows, result[1]) if has_aux else rows

    return Transform(fun, inline, (which, (fun, argnums, has_aux, holomorphic)))


def _is_forward(graph, count):
    """Return whether there are at most as many columns as rows; where the kinds of numbers decide, they do."""
    arguments, results = graph.params[:count], graph.out_types
    if any(t.kind == "c" for t in arguments) != any(t.kind == "c" for t in results):
        return any(t.kind == "c" for t in results)
    columns, rows = dims.total(t.size for t in arguments), dims.total(t.size for t in results)
    return dims.interval(dims.minus(columns, rows))[0] <= 0


def _check_kinds(what, graph, count, forward, holomorphic):
    """Raise where the kinds of numbers leave no one derivative."""
    arguments, results = graph.params[:count], graph.out_types
    for kind in results:
        if kind.kind not in "fc" or holomorphic and kind.kind != "c":
            wanted = "complex results with holomorphic=True" if holomorphic else "floats"
            raise NotDifferentiableError(f"{what}: the result holds {kind}, and only {wanted} have a derivative",
                                         where=user_frame(), do="Return it as aux, with has_aux=True, or convert it.")
    odd = [t for t in (arguments if forward else results) if t.kind == "c"]
    if odd and not holomorphic:
        side = "an argument" if forward else "a result"
        other = "jacrev for real results" if forward else "jacfwd for real arguments"
        raise NotDifferentiableError(
            f"{what}: {side} is of type {odd[0]}, and the derivative depends on the direction in the complex plane",
            where=user_frame(), do="Give holomorphic=True for a holomorphic function, differentiate real and imaginary "
            f"parts, or use {other}.")
