"""Places outside of a function, on whose content a trace relies: each call looks there, whether it still holds."""

import numpy as np

from tracejit.symbolic.types import supported_dtype
from tracejit.trace.tracer import PYTHON_DTYPES

_ATOMS = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, range, slice)
_NOTHING = object()


class Read:
    """A place outside the function on whose content the trace relied.

    Kinds: "item" of a mapping or list, "attr" of an object (a closure's cell is one), "size" of a container.
    """

    __slots__ = ("kind", "holder", "key", "value", "is_instance")

    def __init__(self, kind, holder, key, value):
        self.kind, self.holder, self.key, self.value = kind, holder, key, value
        self.is_instance = False  # whether it is an object that traced code sees through its ``__dict__``

    @property
    def place(self):
        """What tells it from other places, as long as its holder exists."""
        return place_of(self.kind, self.holder, self.key)

    def holds(self):
        """Return whether the place still holds that very object (or an equal number or string)."""
        now = self.look()
        if now is self.value:
            return True
        return type(now) is type(self.value) and isinstance(now, _ATOMS) and bool(now == self.value)

    def steady(self):
        """Return whether the place gives the same object each time, and does not make one when asked."""
        now = self.look()
        return now is self.look() or isinstance(now, _ATOMS)

    def look(self):
        """Return what the place holds now."""
        try:
            if self.kind == "item":
                return self.holder[self.key]
            return len(self.holder) if self.kind == "size" else getattr(self.holder, self.key)
        except (LookupError, AttributeError, TypeError, ValueError):
            return _NOTHING

    def __repr__(self):
        what = {"size": "the length", "item": f"the item {self.key!r}", "attr": f"the attribute {self.key!r}"}
        return f"{what[self.kind]} of a {type(self.holder).__name__}"


def place_of(kind, holder, key):
    """Return what tells a place from others, as long as its holder exists."""
    return holder.place if isinstance(holder, Inside) else (id(holder), kind, key)


class Inside:
    """A place in the container that lies at another place: perhaps not the same one at each call.

    The container it was found in is of the same form as the one at a call, as a `Form` says.
    """

    __slots__ = ("read", "key")

    def __init__(self, read, key):
        self.read, self.key = read, key

    @property
    def place(self):
        """What tells it from other places."""
        return (*self.read.place, self.key)

    @property
    def value(self):
        """What lies there now."""
        return self.read.look()[self.key]


class Part(Inside):
    """Likewise an attribute of the object that lies at another place."""

    __slots__ = ()

    @property
    def value(self):
        """What it is now."""
        return getattr(self.read.look(), self.key)


class Form:
    """What a container at a place was like, apart from its items."""

    __slots__ = ("_read", "_keys")

    def __init__(self, read):
        self._read, self._keys = read, keys_of(read.value)

    @property
    def holds(self):
        """Whether the one that lies there now is like it."""
        now = self._read.look()
        return type(now) is type(self._read.value) and keys_of(now) == self._keys


class Snapshot:
    """What was in a set."""

    __slots__ = ("_whole", "_before")

    def __init__(self, whole):
        self._whole, self._before = whole, whole.copy()

    @property
    def holds(self):
        """Whether that is still in it."""
        return self._whole == self._before


class Slots:
    """The globals, closure variables and class attributes that traced code may assign, as one container of them all."""

    def __init__(self):
        self._all = {}  # key -> (how to read, how to assign)

    def add(self, key, get, put):
        """Add one, unless it is there already."""
        self._all.setdefault(key, (get, put))

    def content(self):
        """Return what they hold, by key."""
        return {key: get() for key, (get, _) in self._all.items()}

    def changes(self, before):
        """Return what all hold, where any is another value than it was; None where none is."""
        now = self.content()
        return None if all(now[key] is value for key, value in before.items()) else now

    def refill(self, content):
        """Assign them all."""
        for key, value in content.items():
            get, put = self._all[key]
            if get() is not value:
                put(value)


class Number:
    """A number at a place, that each call looks up: an input, as an array is."""

    def __init__(self, read):
        self.read, self.kind, self.shape = read, type(read.value), ()
        self.dtype = np.dtype(PYTHON_DTYPES.get(self.kind) or read.value.dtype)

    @property
    def place(self):
        """Where it lies: the kind of place, its holder and the key."""
        return self.read.kind, self.read.holder, self.read.key

    @property
    def _data(self):
        return np.array(self.read.value, self.dtype)


def is_number(x):
    """Return whether this may be a number that each call looks up; a truth value is one of two."""
    if isinstance(x, np.generic):
        return x.dtype.kind in "iufc" and supported_dtype(x.dtype) is not None
    return type(x) in (float, complex) or type(x) is int and -2**63 <= x < 2**63


def keys_of(container):
    """Return the keys of a dict, or the places of a list or tuple."""
    return list(container) if isinstance(container, dict) else range(len(container))
