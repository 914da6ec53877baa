"""The dispatcher in plain Python: the meaning of `_dispatch.c`, and what serves where that was not built.

The same tests run over both. Only the pool of memory is missing here.
"""

import ctypes
import functools
import threading
import types

import numpy as np

from tracejit import events, flags
from tracejit.config import config
from tracejit.matching import (
    Leaves,
    Mismatch,
    Types,
    alike,
    checked,
    dtype_of,
    fit_array,
    index_of,
    leaves_of,
    matcher,
    shape_of,
)

MAX_ENTRIES = 64
MISS = object()
_KEPT = 64 << 20  # bytes of scratch that a thread keeps
_local = threading.local()
#: Bytes from which on an update in place is done in place, and not copied there.
DIRECT_MIN = 1 << 14


def current_key():
    """Return the key of the flags that hold here."""
    return config.key()


def pool_info():
    """Return the pool's limit, contents and counters: there is none."""
    return {"limit": 0, "bytes": 0, "blocks": 0, "hits": 0, "misses": 0}


def pool_clear():
    """Give the pool's memory back to the system."""


def _getter(capture, types):
    """Return how a capture is read, how it takes a new array, or None, and how it is matched."""
    match capture:
        case ("number", "attr", obj, str() as name, type() as kind, dtype):
            return (lambda: getattr(obj, name)), None, matcher(("scalar", kind, dtype), types)
        case ("number", "item", obj, key, type() as kind, dtype):
            return (lambda: obj[key]), None, matcher(("scalar", kind, dtype), types)
        case ("array", held, dtype, shape):
            get, put = (lambda: held), None
        case ("attr", obj, str() as name, dtype, shape):
            get, put = (lambda: getattr(obj, name)), None
        case ("shared", obj, str() as name, dtype, shape):
            get, put = (lambda: getattr(obj, name)), (lambda new: setattr(obj, name, new))
        case ("item", obj, key, dtype, shape):
            get, put = (lambda: obj[key]), None
        case _:
            raise ValueError(f"not a capture: {capture!r}")
    return get, put, functools.partial(fit_array, *checked(types, dtype, shape), False, False)


def _place(read):
    match read:
        case ("item", holder, key, value):
            if isinstance(holder, dict):  # and makes no default
                return (lambda: dict.get(holder, key, MISS)), value, _is_atom(value)
            return (lambda: holder[key]), value, _is_atom(value)
        case ("attr", holder, str() as name, value):
            return (lambda: getattr(holder, name)), value, _is_atom(value)
        case ("size", holder, _, value):
            return (lambda: len(holder)), value, True
    raise ValueError(f"not a place to read: {read!r}")


def _is_atom(x):
    """Say whether equal is as good as identical."""
    return type(x) in (bool, int, float, complex, str, bytes) or isinstance(x, np.generic)


# ---------------------------------------------------------------- an entry
class Entry:
    """One way to call: a signature and what to do for it.

    Parameters
    ----------
    signature : tuple
        A spec per argument, positional ones first; see `tracejit.dispatch.signature`.
    captures : tuple
        Further inputs: `("array", ndarray, dtype, shape)`, `("attr", object, name, dtype, shape)`,
        `("item", mapping, key, dtype, shape)`, or `("shared", object, name, dtype, shape)`, read at each call; a number
        is `("number", "attr" or "item", object, name or key, type, dtype)`.
    executable : object
        With address or call, in_types, out_types, arena_bytes, long and errors.
    outputs : tuple
        What the result is made of: `("out", k, scalar)`, an executable's output, as a NumPy scalar if 0-d and
        scalar is true, as a Python number if it is "python", with the axes reversed if it is "F"; `("arg", k)`, the
        k-th input itself; `("given", k)`, the k-th argument as it was given; `("const", value)`;
        `("view", k, dtype, shape, strides, offset)` of the k-th input's memory, in bytes.
    tree : None, "tuple", "list" or callable
        How it is put together: the one leaf itself, or a function of the list of leaves.
    writes : tuple of (output, input)
        Outputs that replace the content of an input array; of a "shared" one, the array itself.
    config_key : object
        The key of the flags it was compiled under.
    kwnames : tuple of str
        Names of the last arguments, those given by keyword.
    reads : tuple
        Places outside of the arguments that the trace relied on: `("item", mapping, key, value)`,
        `("attr", object, name, value)` still hold the value, identical or an equal number or text;
        `("size", container, None, n)` still has n items.
    guards : tuple of (executable, answers)
        Programs over the same inputs, and arrays, one per output: the entry is meant for the calls for which they give
        just these. One is asked only if those before it gave theirs; one that raises did not.
    look : object, optional
        Tells of floating-point events: ``wanted(flags)`` says whether a call that raised flags is looked at, and
        ``tell(flags, inputs)`` does it, afterwards; `always` are the flags for which it is asked whatever NumPy's error
        state. See `tracejit.events`.
    handled : bool
        Whether the function has handlers of its own: an exception of compiled code is a miss then.
    """

    def __init__(
        self, signature, captures, executable, outputs, tree, writes, config_key, kwnames=(), reads=(), guards=(),
        look=None, handled=False
    ):
        self.signature, self.captures, self.kwnames = tuple(signature), tuple(captures), tuple(kwnames)
        self.executable, self.outputs, self.tree = executable, tuple(outputs), tree
        self.writes, self.config_key = tuple(writes), config_key
        self.reads, self.handled = tuple(reads), bool(handled)
        self._errors = tuple(executable.errors)
        self._places = [_place(read) for read in self.reads]
        self.guards = tuple(guards)
        self._guards = [_Guard(*guard, executable.in_types) for guard in self.guards]
        self._look = look
        self._careful = look is not None and self.handled  # NumPy may have to do the call again
        self._bind()

    def _bind(self):
        executable = self.executable
        types = Types(executable.in_types)
        if len(self.kwnames) > len(self.signature):
            raise ValueError("more keyword names than specs")
        self._matchers = [matcher(s, types) for s in self.signature]
        n_leaves = types.used
        self._getters, self._setters = [], {}
        for k, capture in enumerate(self.captures):
            get, put, match_it = _getter(capture, types)
            self._getters.append((get, match_it))
            if put is not None:
                self._setters[n_leaves + k] = put
        if types.used != len(types.types):
            raise ValueError("fewer arrays and scalars than the executable has inputs")
        self._in_types = types.types
        self._out_types = [(dtype_of(t.dtype), shape_of(t.shape)) for t in executable.out_types]
        leaves = leaves_of(self.signature)
        self._array_leaves = [spec[0] == "array" for spec in leaves] + [c[0] != "number" for c in self.captures]
        #: Arrays that are taken as they lie, with memory between their elements that is not theirs to write.
        self._strided = {k: (dtype_of(spec[1]), shape_of(spec[2])) for k, spec in enumerate(leaves)
                         if spec[0] == "array" and isinstance(spec[-1], tuple) and len(spec) == 4}
        self._check_outputs()
        self._check_writes()
        if self.tree is None and len(self.outputs) != 1:
            raise ValueError("a result that is one leaf has one output")
        if self.tree not in (None, "tuple", "list") and not callable(self.tree):
            raise TypeError('a tree is None, "tuple", "list" or a callable')
        if any(len(e) != 2 or not isinstance(e[1], str) for e in self._errors):
            raise ValueError("an error is an exception class, or None, and a format string")
        self._call = _callable(executable)

    def _check_outputs(self):
        for output in self.outputs:
            match output:
                case ("const", _):
                    continue
                case ("given", k):
                    limit = len(self.signature)
                case ("out", k, _):
                    limit = len(self._out_types)
                case ("arg", k) | ("view", k, _, _, _, _):
                    limit = len(self._in_types)
                case _:
                    raise ValueError(f"not an output: {output!r}")
            if not 0 <= index_of(k) < limit:
                raise ValueError("an output's index is out of range")
            if output[0] == "view":
                self._check_view(*output[1:])

    def _check_view(self, k, dtype, shape, strides, offset):
        held, sizes = self._in_types[k]
        total = held.itemsize * int(np.prod(sizes, dtype=object))
        low = offset + sum(s * (n - 1) for n, s in zip(shape, strides) if s < 0)
        high = offset + dtype_of(dtype).itemsize + sum(s * (n - 1) for n, s in zip(shape, strides) if s >= 0)
        inside = 0 <= offset <= total if 0 in shape else low >= 0 and high <= total
        if not self._array_leaves[k] or len(shape) != len(strides) or not inside:
            raise ValueError("a view that does not lie within its array")

    def _check_writes(self):
        kept = {output[1] for output in self.outputs if output[0] == "out"}
        self._direct = [w for w in self.writes if w in getattr(self.executable, "inplace", ())
                        and w[0] not in kept and w[1] not in self._setters and w[1] not in self._strided]
        for write in self.writes:
            fine = len(write) == 2 and 0 <= write[0] < len(self._out_types) and 0 <= write[1] < len(self._in_types)
            if fine:
                k, leaf = write
                wanted = self._strided.get(leaf, self._in_types[leaf])
                fine = self._array_leaves[leaf] and self._out_types[k] == wanted
            if not fine:
                raise ValueError("a write pairs an output with an input array of the same type")

    def run(self, args, kwargs, memory=None):
        """Return the call's result, or MISS where it does not match; `memory` keeps the answers of guards."""
        if len(args) != len(self.signature) - len(self.kwnames) or tuple(kwargs) != self.kwnames:
            return MISS
        leaves = Leaves()
        try:
            for match_it, given in zip(self._matchers, (*args, *kwargs.values())):
                match_it(leaves, given)
            for get, value, atom in self._places:
                now = _read(get)
                if now is not value and not (atom and alike(now, value)):
                    raise Mismatch
            for get, match_it in self._getters:
                match_it(leaves, _read(get))
            for guard in self._guards:
                guard.match(leaves, {} if memory is None else memory)
            self._look_at_targets(leaves)
        except Mismatch:
            return MISS
        outputs = [np.empty(shape, dtype) for dtype, shape in self._out_types]
        flags.forget()
        try:
            code, err = self._execute(leaves, outputs)
        except Exception:
            if self.handled:
                return MISS
            raise
        raised = flags.raised() | (self._look.always & flags.STANDING if self._look is not None else 0)
        if code and self.handled:
            return MISS
        if code:
            if not 1 <= code <= len(self._errors):
                raise SystemError(f"compiled code returned the unknown error {code}")
            kind, text = self._errors[code - 1]
            if kind is None:
                return MISS
            raise kind(text.format(*err))
        try:
            self._look_back(raised, leaves, outputs)
        except Exception:
            if self.handled:
                return MISS
            raise
        for k, leaf in self.writes:
            if leaf not in self._setters and leaves.arrays[leaf] is not outputs[k]:
                own = not leaves.copied[leaf] and leaf not in self._strided
                target = (leaves.arrays if own else leaves.objects)[leaf]
                target[...] = outputs[k]
        for k, leaf in self.writes:
            if leaf in self._setters:
                self._setters[leaf](outputs[k])
        return self._result(leaves, outputs, (*args, *kwargs.values()))

    def _look_back(self, raised, leaves, outputs):
        """Have `look` tell of a call that raised flags, before anything is written; an input that is gone is None."""
        look = self._look
        if look is None or not raised:
            return
        modes = events.state()
        if flags.is_noticed(raised, modes | look.always) and look.wanted(raised | modes & flags.STRICT):
            gone = {leaf for k, leaf in self.writes if outputs[k] is leaves.arrays[leaf]}
            self._careful = self._careful or bool(gone)
            look.tell(raised, [None if leaf in gone else x for leaf, x in enumerate(leaves.arrays)])

    def _look_at_targets(self, leaves):
        for _, leaf in self.writes:
            if leaf in self._setters:
                continue
            target = leaves.objects[leaf]
            if not target.flags.writeable:
                raise ValueError("assignment destination is read-only")
            for other, given in enumerate(leaves.objects):
                if other != leaf and type(given) is np.ndarray and np.may_share_memory(given, target):
                    raise Mismatch
        for output in self.outputs:  # strides do not hold for a copy
            if output[0] == "view" and leaves.copied[output[1]]:
                raise Mismatch

    def _execute(self, leaves, outputs):
        for k, leaf in self._direct if self.executable.address and not self._careful else ():
            if self._look is not None and outputs[k].nbytes < DIRECT_MIN:
                continue  # a copy costs nothing, and can be looked at
            if not leaves.copied[leaf]:
                outputs[k] = leaves.arrays[leaf]
        return _execute(self.executable, self._call, leaves.arrays, outputs)

    def _result(self, leaves, outputs, given):
        items = []
        for output in self.outputs:
            match output:
                case ("out", k, scalar):
                    item = outputs[k].T if scalar == "F" else outputs[k][()] if scalar else outputs[k]
                    items.append(item.item() if scalar == "python" and item.ndim == 0 else item)
                case ("arg", k):
                    items.append(leaves.objects[k])
                case ("const", value):
                    items.append(value)
                case ("given", k):
                    items.append(given[k])
                case ("view", k, dtype, shape, strides, offset):
                    base = leaves.objects[k]
                    flat = leaves.arrays[k].reshape(-1).view(np.uint8)  # contiguous, as the match made sure
                    view = np.ndarray(shape, dtype, flat, offset, strides)
                    view.flags.writeable = base.flags.writeable
                    items.append(view)
        if self.tree is None:
            return items[0]
        return tuple(items) if self.tree == "tuple" else items if self.tree == "list" else self.tree(items)


class _Guard:
    """A program that is asked about the inputs, and what it has to answer."""

    def __init__(self, executable, answers, in_types):
        self.executable, self.answers, self._call = executable, tuple(answers), _callable(executable)
        if tuple(executable.in_types) != tuple(in_types):
            raise ValueError("a guard's inputs are those of its entry")
        wanted = [(dtype_of(t.dtype), shape_of(t.shape)) for t in executable.out_types]
        if wanted != [(a.dtype, a.shape) for a in self.answers]:
            raise ValueError("a guard has an answer of the right type for each output")

    def match(self, leaves, memory):
        """Raise Mismatch where the answers are others."""
        asked = (id(self.executable), *map(id, leaves.objects))
        if asked not in memory:
            memory[asked] = self._ask(leaves.arrays)
        if memory[asked] != [a.tobytes() for a in self.answers]:
            raise Mismatch

    def _ask(self, inputs):
        outputs = [np.empty_like(a, order="C") for a in self.answers]
        try:
            code, _ = _execute(self.executable, self._call, inputs, outputs)
        except Exception:  # what it raises says no more than that the entry is not meant
            return None
        return None if code else [a.tobytes() for a in outputs]


def _callable(executable):
    """Return the compiled function of an executable as Python calls it, or None; checks that there is one."""
    if executable.arena_bytes < 0:
        raise ValueError("an arena of impossible size")
    if executable.address:
        make = ctypes.CFUNCTYPE if executable.long else ctypes.PYFUNCTYPE  # the first releases the GIL
        return make(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(executable.address)
    if not callable(executable.call):
        raise TypeError("an executable has an address or something to call")
    return None


def _execute(executable, function, inputs, outputs):
    """Run an executable; returns its code and the numbers of its error."""
    if function is None:
        answer = executable.call(list(inputs), list(outputs))
        code, err = answer if isinstance(answer, tuple) else (answer, ())
        return int(code), [int(x) for x in (() if err is None else err)] + [0] * 4
    arena = _arena(executable.arena_bytes)
    table = getattr(executable, "table", None)
    addresses = [a.ctypes.data for a in (*inputs, *outputs)] + [arena.ctypes.data if arena.size else None]
    addresses.append(None if table is None else table.ctypes.data)
    err = (ctypes.c_int64 * 4)()
    return function((ctypes.c_void_p * len(addresses))(*addresses), err), list(err)


def _read(get):
    try:
        return get()
    except Exception:  # deleted: slow says what is wrong
        raise Mismatch from None


def _arena(size):
    """Return this thread's scratch, 64-byte aligned and at least so large; a larger one is not kept."""
    if size > _KEPT:
        return _aligned(size)
    kept = getattr(_local, "arena", None)
    if kept is None or kept.size < size:
        kept = _local.arena = _aligned(size)
    return kept


def _aligned(size):
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


# ---------------------------------------------------------------- the dispatcher
class Dispatcher:
    """A callable: entries where they match, `slow(args, kwargs)` where none does."""

    __slots__ = ("__dict__", "__weakref__", "entries", "hits", "misses", "slow")

    def __init__(self, slow):
        if not callable(slow):
            raise TypeError("slow must be callable")
        self.slow = slow
        self.entries = ()
        self.hits = self.misses = 0

    def add(self, entry):
        """Put an Entry in front of the others; the oldest beyond 64 goes."""
        if not isinstance(entry, Entry):
            raise TypeError(f"not an Entry but a {type(entry).__name__}")
        self.entries = (entry, *self.entries)[:MAX_ENTRIES]

    def clear(self):
        """Forget all entries."""
        self.entries = ()

    def __call__(self, /, *args, **kwargs):
        if self.entries:
            key, memory = current_key(), {}
            for entry in self.entries:
                if entry.config_key is key:
                    result = self._attempt(entry, args, kwargs, memory)
                    if result is not MISS:
                        return result
        self.misses += 1
        return self.slow(args, kwargs)

    def _attempt(self, entry, args, kwargs, memory):
        try:
            result = entry.run(args, kwargs, memory)
        except BaseException:
            self.hits += 1
            raise
        self.hits += result is not MISS
        return result

    def __get__(self, obj, owner=None):
        return self if obj is None else types.MethodType(self, obj)
