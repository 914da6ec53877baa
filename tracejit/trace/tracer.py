"""The stand-in for an array while a function is traced: a handle on a storage and a chain of views.

Reading goes through the chain, writing rebuilds the storage's value, so every view of it sees the change.
Operators and methods are attached by `protocol` and `methods`.
"""

import contextvars

import numpy as np

from tracejit.errors import (
    CarryError,
    LeakError,
    UnsupportedError,
    user_frame,
)
from tracejit.symbolic.graph import free_variables, substitute
from tracejit.symbolic.ir import const, new_variable
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import broadcast_to, concatenate, reshape
from tracejit.symbolic.types import C128, F64, I64, Type, supported_dtype
from tracejit.trace.floating import user_line

_active = contextvars.ContextVar("tracejit_trace", default=None)

#: Dtype of the node that stands for a Python number, by the number's type.
PYTHON_DTYPES = {bool: np.dtype(bool), int: I64, float: F64, complex: C128}
_PYTHON_TYPES = {"b": bool, "i": int, "u": int, "f": float, "c": complex}


class Restart(BaseException):
    """The trace starts again, knowing how one more branch or loop has to be done, or a number.

    Not an Exception, so that no handler of the user's takes it for one of theirs.
    """


class TraceContext:
    """One trace in progress: what it closed over, where its nodes come from, and the trace around it."""

    __slots__ = ("parent", "root", "alive", "captures", "notes", "notices", "outer_writes", "session", "reads", "name",
                 "leaves", "uses", "layouts", "moved", "guards", "outside", "bound", "mapped", "flow", "made", "orders")

    def __init__(self, parent=None, name=None):
        self.parent = parent
        self.root = self if parent is None else parent.root
        self.alive = True
        self.captures = {}      # id(object) -> (object, Storage); only the outermost trace has any
        self.notes = {} if parent is None else parent.notes
        self.notices = []       # (line, category, text, node or None) of what NumPy warns of; the outermost trace's
        self.outer_writes = {}  # Storage of an enclosing trace -> its value before this trace wrote to it
        self.session = None     # the conversions, kept by the outermost trace
        self.leaves = {}        # variable of an argument -> (its index, whether it is a Python number)
        self.reads = {} if parent is None else parent.reads  # place -> Read
        self.uses = {}          # id(array) -> [how often it was met, how often at a place that `reads` knows]
        self.layouts = set()    # Storages whose place in memory the function has looked at
        # (argument, reshaped Storage and value, Storage and value of the result): a view or copy, as the argument lies
        self.moved = []
        self.guards = None      # what the actual inputs of the call decide, where there are any; the outermost trace's
        self.outside = None     # nodes of enclosing traces that were read, in the body of a loop or a branch
        self.bound = {}         # own variable -> the node of the trace around this one that it stands for
        self.mapped = False     # whether its arguments are elements of a batch
        self.flow = None        # branches and loops that are being staged; the outermost trace's
        # how often what is traced may yet be differentiated; None outside of all derivatives
        self.orders = None if parent is None else parent.orders
        self.made = 0           # how many values traced code has made or written; the outermost trace counts
        self.name = name

    def note(self, node, name=None):
        """Remember the user's line that made a node, for printed graphs and for what NumPy would say of it."""
        self.root.made += 1
        if node not in self.notes:
            line = self.notes[node] = user_line()
            if line is not None:
                line.name = name
        if self.root.flow is not None and self.root.flow.watched:
            self.root.flow.keep_checks(node, self.notes)

    def notice(self, text, category=RuntimeWarning, when=None):
        """Have each call warn as NumPy does at this line; `when` is a node that is true where it does."""
        line = user_line()
        if line is not None and not any(line == other[0] and text == other[2] for other in self.root.notices):
            self.root.notices.append((line, category, text, when))

    def remark(self, node, was, **what):
        """Say more of the line of a node that was noted as the result of the ufunc of this name."""
        line = self.notes.get(node)
        if line is not None and line.name == was:
            for name, value in what.items():
                setattr(line, name, value)

    def use(self, array, noted=False):
        """Count that an array from outside was met, or that it was at a noted place."""
        self.uses.setdefault(id(array), [0, 0])[noted] += 1

    def encloses(self, other):
        """Return whether `other` is this trace or one inside it."""
        while other is not None and other is not self:
            other = other.parent
        return other is self

    def capture(self, array, key=None, make=None):
        """Return the Storage that stands for an array from outside; one per object.

        `key` is the object that the executable reads at each call, where it is not the array itself.
        """
        root = self.root
        if key is None:
            root.use(array)
        key = array if key is None else key
        found = root.captures.get(id(key))
        if found is None:
            storage = Storage(new_variable(Type(array.dtype, array.shape)), root, ("capture", key),
                              not array.flags.writeable, array)
            found = root.captures[id(key)] = (key, storage)
        return found[1]


def current_trace():
    """Return the innermost trace in progress on this thread, or None."""
    return _active.get()


class Alias:
    """What an array is at run time: on each path through `region` one of a set of arrays (empty: a new one).

    Arrays of one `family` are never the same.
    """

    __slots__ = ("leaves", "bases", "region", "family")

    def __init__(self, leaves, region, family=None):
        self.leaves, self.region, self.family = leaves, region, family
        self.bases = set().union(*leaves)


class Storage:
    """The memory behind one array and all its views: a value that writes replace."""

    __slots__ = ("value", "trace", "origin", "readonly", "variable", "alias", "dependents", "poison", "unclear", "rows",
                 "_shadow", "_strides", "_like", "__weakref__")

    def __init__(self, value, trace, origin=None, readonly=False, layout=None, like=()):
        self.value = value
        self.variable = value     # what a write has changed is no longer this
        self.trace = trace
        self.origin = origin      # None, ("arg", index) or ("capture", object)
        self.readonly = readonly
        self.alias = None         # which arrays this may be at run time, by the branch taken: an Alias
        self.dependents = []      # Storages that may be this one
        self.poison = None        # (why the content is not known any more, the branch or loop that did it), if so
        self.rows = None          # the Rows of a list that this holds
        self.unclear = None       # the branch or loop on whose ways it lies in memory otherwise, if so
        self._shadow = None
        self._strides = None if layout is None or layout.flags.c_contiguous else layout.strides
        self._like = like         # the arguments by whose layout NumPy would choose the one of this new array

    def lies_like(self):
        """Return the Storages of arguments that decide how the array lies in memory."""
        return self._like if self.origin is None else (self,)

    @property
    def shadow(self):
        """A NumPy array of this dtype, shape and strides over one element, which is never read."""
        if self._shadow is None:
            kind = self.value.type
            if not kind.is_static:
                raise _unknown_size(kind)
            strides = self._strides or _c_strides(kind.shape, kind.dtype.itemsize)
            self._shadow = np.lib.stride_tricks.as_strided(np.empty((), kind.dtype), kind.shape, strides,
                                                           writeable=not self.readonly)
        return self._shadow

    def refuse(self):
        """Raise the error of an array whose content is not known."""
        why, region = self.poison
        error = UnsupportedError(f"an array of type {self.value.type} of unknown content: {why}", where=user_frame(),
                                 do="write to a copy, or bind the other name to one: y = x.copy()")
        error.region, error.unknown = region, True
        raise error

    def bases(self):
        """Return the Storages one of which this is at run time."""
        return {self} if self.alias is None else self.alias.bases

    def _spoil(self):
        """After a write: what may be the same array under another name has a content that is not known."""
        mine = self.bases()
        for base in mine:
            for other in (base, *base.dependents):
                if other is not self and not self.differs(other):
                    region = (self.alias or other.alias).region
                    why = "it may have been written to under another name, by the branch or iteration taken"
                    other.poison = why, region

    def differs(self, other):
        """Return whether another Storage that may be one of the same arrays is never the same as this one."""
        a, b = self.alias, other.alias
        if a is None or b is None or a.region is not b.region:
            return False
        return a.family is not None and a.family is b.family or not any(x & y for x, y in zip(a.leaves, b.leaves))

    def write(self, value):
        """Replace the value; a trace inside the storage's own notes what it has overwritten."""
        trace = current_trace()
        if trace is not None:
            trace.note(value)
            if trace.root.flow is not None:
                trace.root.flow.journal.append((self, self.value))
        if self.alias is not None or self.dependents:
            self._spoil()
        while trace is not None and trace is not self.trace:
            trace.outer_writes.setdefault(self, self.value)
            trace = trace.parent
        self.value = value


def _unknown_size(kind):
    """Return the error for what needs the size of an array as a number."""
    return UnsupportedError(f"an operation on an array of type {kind}, whose size is known only when the compiled "
                            "function runs", where=user_frame(),
                            do="use slices with fixed bounds, or keep the full size and mask with np.where")


def _c_strides(shape, itemsize):
    strides, step = [], itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


class Tracer:
    """An array whose content is known only when the compiled function runs.

    Attributes
    ----------
    node : Node
        The value as the graph has it now.
    weak : bool
        Stands for a Python number, which takes the dtype of the array beside it (NEP 50).
    scalar : bool
        Stands for a NumPy scalar, which has no writes, rather than a 0-d array.
    """

    __slots__ = ("_storage", "_steps", "_view_shadow", "_kind", "_cache", "weak", "scalar", "__weakref__")
    __array_priority__ = 1_000_000.0

    def __init__(self, storage, steps=(), shadow=None, *, weak=False, scalar=False, kind=None):
        self._storage = storage
        self._steps = steps
        self._view_shadow = shadow
        self._kind = kind  # the Type of a view that has no shadow: of, or through, an array of unknown size
        self._cache = (None, None)
        self.weak = weak
        self.scalar = scalar

    @property
    def node(self):
        """The value as a node, read through the chain of views."""
        base = self._alive().value
        if not self._steps:
            return base
        if self._cache[0] is not base:
            node = base
            for step in self._steps:
                node = step.read(node)
            self._cache = (base, node)
        return self._cache[1]

    def _alive(self):
        """Return the storage; raise where its trace has ended."""
        storage = self._storage
        if not storage.trace.alive and not lift(storage):
            raise LeakError(f"a traced array of type {storage.value.type} was used after its trace had ended",
                            where=user_frame(), do="return it from the traced function, or keep state in "
                            "tracejit.shared, instead of storing it in a global, an attribute or a closure")
        if storage.poison is not None:
            storage.refuse()
        trace = _active.get()
        while trace is not storage.trace and trace is not None:
            if trace.outside is not None and storage not in trace.outer_writes:
                trace.outside.add(storage.value)
            trace = trace.parent
        return storage

    @property
    def shadow(self):
        """A NumPy array of this dtype, shape and strides, whose content is never read."""
        if self._view_shadow is None and self._kind is not None:
            if not self._kind.is_static:
                raise _unknown_size(self._kind)
            # how it lies in the array of unknown size nobody can tell; its own layout is C order
            self._view_shadow = Storage(new_variable(self._kind), self._storage.trace).shadow
        return self._storage.shadow if self._view_shadow is None else self._view_shadow

    @property
    def type(self):
        """Dtype and shape as a Type."""
        if self._kind is not None:
            return self._kind
        if self._view_shadow is None:
            return self._storage.value.type
        return Type(self._view_shadow.dtype, self._view_shadow.shape)

    @property
    def shape(self):
        """Shape, as NumPy gives it; a size that is known at run time only is a traced Python integer."""
        kind = self.type
        if kind.is_static:
            return kind.shape
        return tuple([n if type(n) is int else wrap(n, weak=True) for n in kind.shape])

    @property
    def dtype(self):
        """Dtype, as NumPy gives it."""
        return self.type.dtype

    @property
    def ndim(self):
        """Rank."""
        return len(self.type.shape)

    @property
    def size(self):
        """Number of elements, as `shape`."""
        size = self.type.size
        return size if type(size) is int else wrap(size, weak=True)

    @property
    def python_type(self):
        """bool, int, float or complex for a stand-in of a Python number."""
        return _PYTHON_TYPES[self.dtype.kind]

    def look_at_layout(self):
        """Remember that the function depends on how the array lies in memory."""
        self.know_layout()
        if self._storage.origin is not None:
            self._storage.trace.layouts.add(self._storage)

    def know_layout(self):
        """Raise where an array lies in memory otherwise by the way taken to it: the way has to be decided on."""
        if self._storage.unclear is not None:
            error = CarryError("how an array lies in memory that differs by the way taken", where=user_frame(),
                               do="copy it before: y = y.copy()")
            error.region = self._storage.unclear
            raise error

    def is_c_contiguous(self):
        """Return whether the elements lie in memory in C order."""
        if self._view_shadow is None:
            return self._kind is not None or self._storage._strides is None
        return self._view_shadow.flags.c_contiguous

    def is_readonly(self):
        """Return whether a write raises, as into NumPy's read-only arrays."""
        shadow = self._storage._shadow if self._view_shadow is None else self._view_shadow
        return self._storage.readonly or not (shadow is None or shadow.flags.writeable)

    def derive(self, step, shadow):
        """Return the view that one more step makes, given the shadow after it (None where a size is unknown)."""
        kind = step.read(self.node).type if shadow is None else None
        return Tracer(self._storage, (*self._steps, step), shadow, kind=kind)

    def _write(self, node):
        """Replace the content with a node of this very type, through the chain of views."""
        if self.scalar or self.weak:
            name = f"numpy.{self.dtype.type.__name__}" if self.scalar else self.python_type.__name__
            raise TypeError(f"'{name}' object does not support item assignment")
        if self.is_readonly():
            raise ValueError("assignment destination is read-only")
        if node.type is not self.type:
            raise AssertionError(f"write of {node.type} into {self.type}")
        if node is self.node:
            return  # `x[1:] += 1` writes back what it has just written
        if self._storage.rows is not None:
            self._storage.rows.check_shared()
        levels = [self._alive().value]
        for step in self._steps[:-1]:
            levels.append(step.read(levels[-1]))
        for step, level in zip(reversed(self._steps), reversed(levels)):
            node = step.write(level, node)
        self._storage.write(node)


# ---------------------------------------------------------------- in and out of tracers
def wrap(node, scalar=False, weak=False, layout=None, name=None, trace=None, like=()):
    """Return a Tracer of a fresh storage that holds `node`, in memory like the array `layout` (None: C order).

    NumPy finds that layout from those of the tracers `like`. `name` is what it calls the operation in its warnings,
    `trace` the one in which the result lives (None: the current one).
    """
    trace = current_trace() if trace is None else trace
    if trace is None:
        raise LeakError(f"a traced value of type {node.type} was made outside a trace", where=user_frame(),
                        do="call this inside a function given to tracejit.jit")
    trace.note(node, name)
    like = tuple(dict.fromkeys(s for t in like for s in t._storage.lies_like()))
    return Tracer(Storage(node, trace, layout=layout, like=like), scalar=scalar, weak=weak)


def as_tracer(x):
    """Return the Tracer that stands for an array-like: itself, a literal, a capture, or a stack of a nest of them."""
    if isinstance(x, Tracer):
        return x
    if type(x) in PYTHON_DTYPES:
        return wrap(python_const(x), weak=True)
    if isinstance(x, np.ndarray):
        return capture(x)
    if isinstance(x, np.generic):
        return wrap(const(_checked(x)), scalar=True)
    hook = getattr(type(x), "__tracejit_array__", None)
    if hook is not None:
        return hook(x, current_trace())
    if isinstance(x, (list, tuple)):
        whole = gathered(x)
        return wrap(nest_node(x) if whole is x else whole.node)
    if isinstance(x, (bool, int, float, complex)):  # subclasses: enums and the like
        return as_tracer(next(t for t in (bool, int, float, complex) if isinstance(x, t))(x))
    if hasattr(x, "__array__") and isinstance(made := x.__array__(), (Tracer, np.ndarray)):
        return as_tracer(made)
    if hasattr(x, "__array__") or hasattr(x, "__array_interface__") or isinstance(x, range):
        return as_tracer(np.asarray(x))
    raise UnsupportedError(f"a traced operation on an object of type {type(x).__module__}.{type(x).__qualname__}",
                           where=user_frame(), do="convert it to a number or an array first")


def capture(array):
    """Return the Tracer of an array from outside the trace: a hidden input, by reference."""
    trace = current_trace()
    if trace is None or type(array) is not np.ndarray:
        if type(array) is not np.ndarray:
            raise UnsupportedError(f"a traced operation on a {type(array).__module__}.{type(array).__qualname__}",
                                   where=user_frame(), do="convert it with np.asarray outside the jitted function")
        raise LeakError("an array was traced outside a trace", where=user_frame(),
                        do="call this inside a function given to tracejit.jit")
    _checked(array)
    return Tracer(trace.capture(array))


def _checked(array):
    if supported_dtype(array.dtype) is None:
        raise UnsupportedError(f"an array of dtype {array.dtype} in a traced function", where=user_frame(),
                               do="convert it to a numeric dtype with .astype, or work on it outside the function")
    return array


def lift(storage):
    """Let an array of a trace that has ended live on in the one around it, where it is the same there.

    It is for a function that was traced on its own, to be differentiated or mapped. Returns whether it is alive.
    """
    trace = storage.trace
    while not trace.alive and (trace.bound or trace.mapped) and trace.parent is not None:
        trace = trace.parent
    if trace is storage.trace or not trace.alive:
        return trace.alive
    node, ended = storage.value, storage.trace
    while ended is not trace:
        node, = substitute([node], ended.bound) if ended.bound else (node,)
        ended = ended.parent
    known = {s.variable for _, s in trace.root.captures.values()}
    while ended is not None:
        known.update(ended.leaves)
        ended = ended.parent
    if not known.issuperset(free_variables([node])):
        return False
    storage.value, storage.trace = node, trace
    return True


def python_const(x, dtype=None):
    """Return the literal of a Python number, in `dtype` or its default one."""
    if dtype is None and type(x) is int and not -2**63 <= x < 2**63:
        if 0 <= x < 2**64:
            return const(np.uint64(x))
        raise UnsupportedError(f"the Python integer {x}, which no NumPy integer holds", where=user_frame(),
                               do="convert it to float first")
    return const(np.asarray(x, dtype or PYTHON_DTYPES[type(x)]))


def node_of(x, dtype=None):
    """Return an array-like as a node, cast to `dtype` where one is given."""
    node = as_tracer(x).node
    return node if dtype is None else cast(node, dtype)


def gathered(x, dtype=None):
    """Return a list whose items lie in one array as that array, later cast to `dtype`; anything else as it is."""
    whole = None if type(x) in (list, tuple) else getattr(x, "whole", None) if isinstance(x, list) else None
    found = None if whole is None else whole(dtype)
    return x if found is None else found


def nest_node(x, dtype=None):
    """Return the node of nested lists and tuples of array-likes, with the shape and dtype np.array would give them."""
    whole = gathered(x, dtype)
    if whole is not x:
        return node_of(whole, dtype)
    if not holds_arrays(x):
        return const(_checked(np.array(x, dtype)))
    node = _stack(x, dtype or _nest_dtype(x))
    return node


def holds_arrays(x):
    """Return whether a nest of lists and tuples holds something that is not a plain number."""
    if isinstance(x, (list, tuple)):
        return gathered(x) is not x or any(holds_arrays(e) for e in x)
    return not isinstance(x, (bool, int, float, complex, str, bytes, np.generic))


def _nest_dtype(x):
    found = []

    def visit(e):
        e = gathered(e)
        if isinstance(e, (list, tuple)):
            for inner in e:
                visit(inner)
        elif type(e) in PYTHON_DTYPES:
            found.append(np.min_scalar_type(e) if type(e) is int and e >= 2**63 else PYTHON_DTYPES[type(e)])
        else:
            found.append(e.dtype if hasattr(e, "dtype") else as_tracer(e).dtype)
    visit(x)
    return np.result_type(*found)


def _stack(x, dtype):
    x = gathered(x)
    if not isinstance(x, (list, tuple)):
        return python_const(x, dtype) if type(x) in PYTHON_DTYPES else node_of(x, dtype)
    rows = [_stack(e, dtype) for e in x]
    if not rows:
        return const(np.empty(0, dtype))
    if len({r.shape for r in rows}) > 1:
        raise ValueError("setting an array element with a sequence. The requested array has an inhomogeneous shape "
                         f"after 1 dimensions. The detected shape was ({len(rows)},) + inhomogeneous part.")
    return concatenate([reshape(r, (1, *r.shape)) for r in rows], 0)


def broadcast_node(node, shape):
    """Return `node` broadcast to `shape` by NumPy's rule (which must allow it)."""
    return broadcast_to(node, shape)
