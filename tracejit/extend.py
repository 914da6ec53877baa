"""Operations of your own: from a Python function, a C expression, a Numba function, or a C function by its address.

Each is stated in one place: what it means in NumPy, what its results look like, its derivative, how it takes a batch,
how it runs. `tracejit.testing.check_op` tests all of that.
"""

import ctypes
import functools
import inspect
import itertools
import re

import numpy as np

from tracejit.api import jit_inline
from tracejit.calls import ShapeDtype
from tracejit.errors import UnsupportedError, user_frame
from tracejit.kernels import pointers
from tracejit.pickles import LeadsBack
from tracejit.rules import custom_jvp, custom_vjp
from tracejit.symbolic.graph import substitute
from tracejit.symbolic.ir import OPS, Spelling, const, define
from tracejit.symbolic.ops.control import results
from tracejit.symbolic.ops.host import HOST, Host
from tracejit.symbolic.ops.host import callback as callback_op
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import full
from tracejit.symbolic.types import F64, supported_dtype
from tracejit.trace.convert import seen
from tracejit.trace.promote import broadcast_shapes
from tracejit.trace.session import session
from tracejit.trace.shapes import spread
from tracejit.trace.staging import Leaf, subtrace, tracing
from tracejit.trace.tracer import TraceContext, as_tracer, current_trace, wrap

__all__ = ["callback", "elementwise"]

_numbers = itertools.count(1)
#: What operations with a C expression mean, by the names of their ops.
_meanings: dict = {}


class _Operation(LeadsBack):
    """What users call: in a trace it becomes a node, outside it compiles by itself."""

    def __init__(self, fun, name):
        functools.update_wrapper(self, fun, updated=())
        self.meaning, self.name = fun, name
        self._compiled = jit_inline(lambda *args: self._applied(*args), name)

    def __call__(self, *args):
        return self._applied(*args) if current_trace() is not None else self._compiled(*args)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self):
        return f"<{type(self).__name__.lower()} {self.name}>"


def _unused(name, taken):
    """Return an identifier that no other operation has: a definition that is run again makes a new one."""
    name = re.sub(r"\W", "_", name)
    while name in taken:
        name = f"{name.rstrip('0123456789').rstrip('_')}_{next(_numbers)}"
    return name


# ---------------------------------------------------------------- element by element
def elementwise(fun=None, *, c=None, python=None, support="", derivative=None, signature=None, name=None):
    """Make an operation of numbers, applied element by element, that fuses with what is around it.

    Parameters
    ----------
    fun : callable
        What it is, and what it runs as where `c` says nothing else:

        - a function of arrays in NumPy's terms (with `c`), the meaning that tests compare with;
        - a function of numbers compiled by ``numba.njit`` or ``numba.cfunc``;
        - a C function of numbers: of ctypes with its ``argtypes`` and ``restype``, of cffi (``lib.f`` or
          ``ffi.addressof(lib, "f")``), a `scipy.LowLevelCallable`, or its address as an int, with `signature`.
    c : str, optional
        The value as a C expression: ``{0}``, ``{1}``, … are the arguments, ``{T}`` is their C type and ``{f}`` the
        suffix of the C library's functions (``exp{f}({0})``).
    python : str, optional
        The same as a Python expression of numbers, for the Numba backend; otherwise that compiles `fun`.
    support : str, optional
        C code before the first use, once per dtype, such as a ``static inline`` function with ``{T}`` and ``{t}`` (the
        short name of the dtype) in its name; braces are doubled.
    derivative : callable, optional
        ``derivative(*args)`` in NumPy's terms: the partial derivative for each argument, a tuple of them where there
        are several. It may use other operations, also this one. Without it the operation refuses to be differentiated.
    signature : str, optional
        The dtypes of a C function, as ``"double(double, int)"``, where it does not tell them itself.
    name : str, optional
        The name in printed graphs and sources; by default the function's.

    Returns
    -------
    callable
        Of array-likes, which are broadcast. With `c` it has the float dtype that its arguments have in common (double
        for integers); as a C function it has that function's dtypes.

    Examples
    --------
    >>> @tracejit.extend.elementwise(c="{0} / (1 + fabs{f}({0}))", derivative=lambda x: 1 / (1 + np.abs(x)) ** 2)
    ... def softsign(x):
    ...     return x / (1 + np.abs(x))
    """
    if fun is None:
        return functools.partial(elementwise, c=c, python=python, support=support, derivative=derivative,
                                 signature=signature, name=name)
    return Elementwise(fun, c, python, support, signature, name, derivative)


class Elementwise(_Operation):
    """An operation of numbers; see `elementwise`. Its `op` is the record in the registry."""

    def __init__(self, fun, c, python, support, signature, name, derivative):
        title = name or getattr(fun, "__name__", None)
        if title is None:
            raise TypeError("this function has no name of its own: give the operation one by name=")
        title = _unused(f"user_{title}", OPS)
        self.dtypes = None
        if c is not None:
            meaning, count = fun, _count(fun)
            spelling = _text_spelling(title, count, c, python, support)
            _meanings[title] = fun
        else:
            made = _address(fun, signature)
            if made is None:
                raise TypeError(f"{fun.__name__} is a plain Python function: give its value as a C expression by c=, "
                                "or make it a function of numbers with numba.njit; functions of whole arrays are what "
                                "tracejit.extend.callback is for")
            self.dtypes, count = made[1], len(made[1]) - 1
            meaning, spelling = _pointer_spelling(title, *made)
        super().__init__(meaning, title.removeprefix("user_"))
        self.__wrapped__ = fun
        self._derivative = derivative
        self._spelled = c, python, support, signature
        fields = {"differentiable": None} if derivative is None else {"partials": self._partials}
        self.op = define(title, type=self._type, scalar=spelling, samples=self._samples, **fields,
                         ref=lambda *xs: np.asarray(self.meaning(*xs)).astype(self._result(xs[0].dtype), copy=False))
        self.count = count

    def __reduce__(self):
        found = super().__reduce__()
        if not isinstance(found, str) and self.dtypes is not None and not hasattr(self.__wrapped__, "py_func"):
            raise TypeError(f"the operation {self.name} is a C function at an address, which another process does not "
                            "have: make it in the function that runs there, or at the top of a module")
        return found

    def _recipe(self):
        return Elementwise, self.__wrapped__, *self._spelled, self.name

    def _rest(self):
        return (self._derivative,)

    # ------------------------------------------------------------ the record
    def _result(self, dtype):
        return dtype if self.dtypes is None else self.dtypes[0]

    def _type(self, *args):
        first = args[0]
        wanted = (first.dtype,) * self.count if self.dtypes is None else self.dtypes[1:]
        if tuple(a.dtype for a in args) != wanted or any(a.shape != first.shape for a in args) or (
                self.dtypes is None and first.kind != "f"):
            raise TypeError(f"{self.name} of {args}: needs {self.count} of one shape")
        return first.with_dtype(self._result(first.dtype))

    def _samples(self, rng):
        for shape in ((2, 3), (), (0, 2)):
            dtypes = [F64] * self.count if self.dtypes is None else self.dtypes[1:]
            yield [np.asarray(rng.uniform(0.3, 0.9, shape) * (1 if d.kind == "f" else 7)).astype(d) for d in dtypes], {}

    def _partials(self, *nodes):
        found = formula(self._derivative, nodes, f"the derivative of {self.name}")
        if len(found) != len(nodes):
            raise TypeError(f"the derivative of {self.name} gives {len(found)} values for {len(nodes)} arguments")
        kind = nodes[0].type.with_dtype(self._result(nodes[0].dtype))
        return tuple([cast(spread(n, kind.shape), kind.dtype) if n.type is not kind else n for n in found])

    def _applied(self, *args):
        if len(args) != self.count:
            raise TypeError(f"{self.name} takes {self.count} arguments, and was given {len(args)}")
        tracers = [as_tracer(x) for x in args]
        if self.dtypes is None:
            dtype = np.result_type(*(t.dtype.type(0).item() if t.weak else t.dtype for t in tracers))
            dtypes = [dtype if dtype.kind == "f" else F64] * self.count
            if dtype.kind == "c":
                raise UnsupportedError(f"{self.name} of complex numbers", where=user_frame(), do="take the parts apart")
        else:
            dtypes = self.dtypes[1:]
        shape = broadcast_shapes([t.type.shape for t in tracers])
        return wrap(self.op(*[spread(cast(t.node, d), shape) for t, d in zip(tracers, dtypes)]), scalar=not shape)


def _count(fun):
    return len(inspect.signature(fun).parameters)


def _text_spelling(title, count, c, python, support):
    """Return the Spelling of a C expression; Numba gets a Python expression, or compiles the meaning."""
    names, places = (", ".join(text % k for k in range(count)) for text in ("x%d", "{%d}"))
    if python is not None:
        return Spelling(c, python, support=support)
    return Spelling(c, f"tj_{title}({places})", support=support, py_support=(
        f"from tracejit import extend\n{title} = extend.numba_function({title!r})\n"
        f"def tj_{title}({names}):\n    return {title}({names})"))


def _pointer_spelling(title, address, dtypes, keep):
    """Return (meaning, Spelling) of a C function of numbers."""
    called = pointers.add_scalar(title, address, dtypes[1:], dtypes[0], keep)
    names, places = (", ".join(text % k for k in range(len(dtypes) - 1)) for text in ("x%d", "{%d}"))
    by_number = np.vectorize(called, otypes=[dtypes[0]])

    def meaning(*xs):
        shape = np.broadcast_shapes(*map(np.shape, xs))
        return by_number(*xs) if 0 not in shape else np.empty(shape, dtypes[0])
    meaning.__name__ = meaning.__qualname__ = title.removeprefix("user_")
    return meaning, Spelling(f"tj_{title}_({places})", f"tj_{title}({places})", routine=title, py_support=(
        f"from tracejit.kernels import pointers\n{title} = pointers.function({title!r})\n"
        f"def tj_{title}({names}):\n    return {title}({names})"))


# ---------------------------------------------------------------- addresses of C functions
_NUMBERS = {"double": "f8", "float": "f4", "int": np.intc, "long": "long", "long long": np.longlong, "short": np.short,
            "unsigned int": np.uintc, "unsigned long": "ulong", "unsigned long long": np.ulonglong, "size_t": np.uintp,
            "intptr_t": np.intp, "ssize_t": np.intp, "_Bool": "?", "bool": "?", "signed char": "i1",
            "unsigned char": "u1",
            **{f"int{n}_t": f"i{n // 8}" for n in (8, 16, 32, 64)},
            **{f"uint{n}_t": f"u{n // 8}" for n in (8, 16, 32, 64)}}


def _address(fun, signature):
    """Return (address, dtypes of result and arguments, what keeps it alive) of a function of numbers, or None."""
    module = type(fun).__module__.partition(".")[0]
    if isinstance(fun, int):
        return fun, _dtypes(signature, "an address"), None
    if isinstance(fun, ctypes._CFuncPtr):
        dtypes = _dtypes(signature, fun.__name__) if signature or fun.argtypes is None else tuple(
            np.dtype(t) for t in (fun.restype, *fun.argtypes))
        return ctypes.cast(fun, ctypes.c_void_p).value, dtypes, fun
    if module == "_cffi_backend":
        import _cffi_backend  # whoever passes a function of cffi has paid for it

        ffi = _cffi_backend.FFI()
        kind = ffi.typeof(fun)
        kind = kind.item if kind.kind == "pointer" else kind
        if not isinstance(fun, ffi.CData):
            raise TypeError("this function of cffi hides its address: pass ffi.addressof(lib, name)")
        text = signature or f"{kind.result.cname}({', '.join(t.cname for t in kind.args)})"
        return int(ffi.cast("intptr_t", fun)), _dtypes(text, str(fun)), fun
    if module == "scipy":  # a LowLevelCallable
        if fun.user_data is not None:
            raise TypeError("a LowLevelCallable with user data cannot be called number by number")
        return _address(fun.function, signature or fun.signature)
    if type(fun).__name__ == "PyCapsule":
        name = pointers.capsule_name(fun)
        return pointers.capsule_pointer(fun, name), _dtypes(signature or name.decode(), "a capsule"), fun
    if module == "numba":
        import numba  # half a second at import, which its users have paid

        if not hasattr(fun, "address"):
            count = _count(fun.py_func)
            dtypes = _dtypes(signature or f"double({', '.join(['double'] * count)})", fun.__name__)
            kinds = [numba.from_dtype(d) for d in dtypes]
            fun = numba.cfunc(kinds[0](*kinds[1:]))(fun.py_func)
        kinds = (fun._sig.return_type, *fun._sig.args)
        return fun.address, tuple(np.dtype(str(k)) for k in kinds), fun
    return None


def _dtypes(signature, what):
    """Return the dtypes that a signature in C's words names, the result's first."""
    found = re.fullmatch(r"\s*([\w ]+?)\s*\(([^()]*)\)\s*", signature or "")
    if found is None:
        raise TypeError(f"{what}: which numbers it takes and gives is not known: say it by signature=, as in "
                        "\"double(double, int)\"")
    names = [found[1], *(n.strip() for n in found[2].split(",") if n.strip() not in ("", "void"))]
    unknown = [n for n in names if n not in _NUMBERS]
    if unknown or len(names) < 2:
        raise TypeError(f"{what} has the signature {signature}: an operation of numbers takes at least one, and knows "
                        f"{', '.join(_NUMBERS)}")
    return tuple(np.dtype(_NUMBERS[n]) for n in names)


def numba_function(title):
    """Return the function of numbers that Numba makes of an operation's meaning."""
    import numba  # half a second at import, which only its users pay

    return numba.njit(_meanings[title])


def formula(fun, nodes, name):
    """Return the nodes of what a function in NumPy's terms makes of nodes, outside of every trace."""
    base = TraceContext(None, name)
    with tracing(base), session(base, seen):
        traced = subtrace(fun, [Leaf(n.type) for n in nodes], {}, name=name)
    arrays = {storage.variable: const(np.asarray(getattr(array, "_data", array)))
              for array, storage in base.captures.values()}
    outs = traced.graph.call([*nodes, *traced.captures])
    outs = substitute(outs, arrays)
    like = nodes[0].type
    return [outs[s[1]] if s[0] == "out" else full(s[1], like) for s in traced.outputs]


# ---------------------------------------------------------------- whole arrays
def callback(fun=None, *, result, jvp=None, vjp=None, batch="rows", name=None):
    """Make an operation of a Python function of whole arrays, which compiled code calls back.

    It is called with NumPy arrays of its own, and may do what it likes with them, but nothing else: equal calls may be
    made once, and calls whose results nobody needs not at all. An exception that it raises is the one that the caller
    of the jitted function gets.

    Parameters
    ----------
    fun : callable
        Of arrays; returns an array, or a tuple of arrays.
    result : ShapeDtype, tuple of ShapeDtype, or callable
        What it returns; or a function that says so, of one `ShapeDtype` per argument. What is returned is compared, and
        cast where that is safe in kind.
    jvp : callable, optional
        ``jvp(primals, tangents) -> (result, tangent of the result)``, as `custom_jvp` takes it.
    vjp : tuple of two callables, optional
        ``(fwd, bwd)`` as `custom_vjp` takes them. Without either the operation refuses to be differentiated.
    batch : {"rows", "whole"}
        In a batch: called for one element after the other, or once, all arguments with the axes of the batch in front.
    name : str, optional
        The name in printed graphs and messages; by default the function's.

    Returns
    -------
    callable
        Of array-likes; outside of jitted code it is compiled by itself, so that it is checked there, too.

    Raises
    ------
    TypeError
        At the call, where the function returns other shapes or dtypes than declared.
    UnsupportedError
        For arrays whose size is known at run time only.

    Examples
    --------
    >>> @tracejit.extend.callback(result=lambda x: x, vjp=(lambda x: (smooth(x), None), lambda kept, ct: (smooth(ct),)))
    ... def smooth(x):
    ...     return scipy.ndimage.gaussian_filter(x, 2.0)
    """
    if fun is None:
        return functools.partial(callback, result=result, jvp=jvp, vjp=vjp, batch=batch, name=name)
    if batch not in ("rows", "whole"):
        raise ValueError(f"batch is 'rows' or 'whole', not {batch!r}")
    if jvp is not None and vjp is not None:
        raise TypeError("an operation has one rule, jvp= or vjp=")
    return Callback(fun, batch, name, result, jvp, vjp)


class Callback(_Operation):
    """An operation of whole arrays; see `callback`."""

    def __init__(self, fun, batch, name, result, jvp, vjp):
        title = _unused(name or getattr(fun, "__name__", type(fun).__name__), HOST)
        super().__init__(fun, title)
        self._batch, self._rules = batch, (result, jvp, vjp)
        HOST[title] = Host(self._called, batch == "whole")
        self._ruled = self._staged
        if jvp is not None:
            self._ruled = custom_jvp(self._staged)
            self._ruled.defjvp(jvp)
        elif vjp is not None:
            self._ruled = custom_vjp(self._staged)
            self._ruled.defvjp(*vjp)

    def _recipe(self):
        return Callback, self.meaning, self._batch, self.name

    def _rest(self):
        return self._rules

    def _called(self, *arrays):
        found = self.meaning(*arrays)
        return found if isinstance(found, tuple) else (found,)

    def _applied(self, *args):
        return self._ruled(*args)

    def _staged(self, *args):
        tracers = [as_tracer(x) for x in args]
        sized = next((t for t in tracers if not t.type.is_static), None)
        if sized is not None:
            raise UnsupportedError(f"{self.name}, a function that is called back, of an array whose size is known at "
                                   f"run time only: {sized.type}", where=user_frame(),
                                   do="give it arrays of fixed size")
        declared = self._rules[0]
        if not isinstance(declared, (ShapeDtype, tuple)):
            declared = declared(*[ShapeDtype(t.shape, t.dtype) for t in tracers])
        many = isinstance(declared, tuple) and not isinstance(declared, ShapeDtype)
        declared = declared if many else (declared,)
        for d in declared:
            if not isinstance(d, ShapeDtype) or supported_dtype(np.dtype(d.dtype)) is None:
                raise TypeError(f"{self.name}: its result is declared as {d!r}, and should be a ShapeDtype")
        node = callback_op(*[t.node for t in tracers], name=self.name, rows=(),
                           shapes=tuple(tuple(map(int, d.shape)) for d in declared),
                           dtypes=tuple(np.dtype(d.dtype) for d in declared))
        found = tuple(wrap(n, scalar=not n.shape) for n in results(node))
        return found if many else found[0]
