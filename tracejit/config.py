"""Flags: what a user may choose, one line each, read as attributes of `tracejit.config`.

A value comes from the first of these that names it: an enclosing `config.context(...)` or an assignment
`config.flag = value`; the environment, `TRACEJIT_FLAGS="check=True,log=rules+trace"`; the file
`~/.tracejitrc`, whose path `TRACEJIT_RC` overrides; the default.

    [tracejit]
    cc = clang
    cache_size = 2G

Environment and file are read when the first flag is. Flags are looked up per thread: a context holds in the
thread (or the asyncio task) that entered it, and an assignment inside a context ends with it, as with
`decimal.localcontext`. Everything else is seen by all threads.
"""

import contextlib
import math
import os
import re
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar, overload

from tracejit.errors import ConfigError, user_frame

__all__ = ["Config", "Flag", "config"]

T = TypeVar("T")


# ---------------------------------------------------------------- parsers: text or Python value → flag value
def boolean(value):
    """Read true or false, yes or no, on or off, 1 or 0."""
    word = str(value).strip().lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise ValueError("True or False")


def natural(value):
    """Read an integer that is not negative."""
    if isinstance(value, float) or not re.fullmatch(r"\s*\d+\s*", str(value)):
        raise ValueError("an integer from 0")
    return int(value)


def size(value):
    """Read a number of bytes: `1048576`, `"1M"`, `"1.5 GiB"` (units are powers of 1024)."""
    found = re.fullmatch(r"\s*(\d+)(?:\.(\d+))?\s*([KMGT]?)(?:i?B)?\s*", str(value), re.IGNORECASE)
    if found is None:
        raise ValueError("a number of bytes such as 1048576, 512M or 2GiB")
    whole, decimals, unit = found[1], found[2] or "", found[3].upper() or " "
    return int(whole + decimals) * 1024 ** " KMGT".index(unit) // 10 ** len(decimals)


def text(value):
    """Read a text as it stands."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError("a text")
    return os.fspath(value).strip()


def choice(*words):
    """Read one of the words."""

    def parse(value):
        if value in words:
            return value
        raise ValueError("one of " + ", ".join(words))

    return parse


def words(*allowed):
    """Read a set of words, written `a+b` in the environment and the file."""

    def parse(value):
        chosen = re.split(r"[+\s;|]+", value.strip()) if isinstance(value, str) else list(value)
        chosen = frozenset(w for w in chosen if w)
        if not chosen <= set(allowed):
            raise ValueError("any of " + ", ".join(allowed) + ", joined by +")
        return chosen

    return parse


def device_name(value):
    """Read `cpu`, `cuda` or `cuda:<number>`; whether there is such a card is asked where it is used."""
    if isinstance(value, str) and re.fullmatch(r"cpu|cuda(:\d+)?", value):
        return "cuda:0" if value == "cuda" else value
    raise ValueError("cpu, cuda or cuda:<number>")


# ---------------------------------------------------------------- the flags
class Flag(Generic[T]):
    """One flag: default, parser, one sentence; `compiles` says that a compiled call depends on it."""

    name: str

    def __init__(self, default: T, parse: Callable[[Any], T], doc: str, *, compiles: bool = False):
        self.default = default
        self.parse = parse
        self.__doc__ = doc
        self.compiles = compiles

    def __set_name__(self, owner, name):
        self.name = name

    @overload
    def __get__(self, obj: None, owner: type) -> "Flag[T]": ...
    @overload
    def __get__(self, obj: "Config", owner: type) -> T: ...
    def __get__(self, obj, owner):
        return self if obj is None else _state().values[self.name]

    def __set__(self, obj, value: T | str) -> None:
        obj._assign({self.name: value})


class Config:
    """All flags as attributes; `tracejit.config` is the only instance.

    `print(tracejit.config)` lists each with its value, where that came from, and its meaning.
    """

    check = Flag(False, boolean, "Check each graph after each pass, and its text.", compiles=True)
    log = Flag(frozenset[str](), words("rules", "compile", "trace", "dispatch"), "What to report on stderr.")
    profile = Flag(False, boolean, "Count and time traces, compilations and calls; a table at exit.", compiles=True)
    device = Flag("cpu", device_name, "Where calls run: cpu, cuda or cuda:<number>.", compiles=True)
    backend = Flag("auto", choice("auto", "c", "numba", "ref"), "What runs it; ref is NumPy.", compiles=True)
    cc = Flag("", text, "The C compiler, a name or a path; empty searches for one.", compiles=True)
    cflags = Flag("", text, "Flags for the C compiler, behind our own.", compiles=True)
    fast = Flag(False, boolean, "Allow careless nan, inf and signed zero, and reordering.", compiles=True)
    threads = Flag(0, natural, "Threads of one call; 0 takes all that the process may use.", compiles=True)
    variants = Flag(8, natural, "Variants of one signature that guards may make; beyond them calls are plain NumPy.")
    pool = Flag(1 << 30, size, "Bytes of freed large outputs kept for the next call; 0 keeps none.")
    cache = Flag(True, boolean, "Keep compiled code on disk for the next process.")
    cache_dir = Flag("", text, "Folder of the disk cache; empty takes the platform's place for caches.")
    cache_size = Flag(1 << 30, size, "Bytes of the disk cache; beyond them the least recently used go.")

    def context(self, **flags):
        """Return a context manager, also a decorator, in which these flags hold.

        Parameters
        ----------
        **flags
            Values by name, as in `config.context(backend="numba", check=True)`.

        Raises
        ------
        ConfigError
            For an unknown flag or a value that it does not take, when `context` is called.
        """
        return _Context(_parsed(flags, where=user_frame()))

    def key(self):
        """Return the object that stands for the flags compiled code depends on: the same for equal values."""
        return _state().key

    def watch(self, notify):
        """Call `notify(key)` whenever the key that holds outside every context changes.

        The first call is now, or when the flags are first read: no mistake in them stops an import.
        """
        with _lock:
            _watchers.append(notify)
            if _global is not None:
                notify(_global.key)

    def thread_count(self):
        """Return how many threads one call may use, at least 1."""
        return self.threads or available_cpus()

    def reload(self):
        """Forget assignments and read the environment and the file again."""
        global _global
        with _lock:
            _global = None
            _base()

    def _assign(self, flags):
        global _global
        values = _parsed(flags, where=user_frame())
        inner = STATE.get()
        if inner is not None:
            STATE.set(inner.changed(values, "context", inner.outer))
            return
        with _lock:
            _global = _base().changed(values, "program")
            _notify(_global)

    def __getattr__(self, name):  # called for unknown names only
        raise _unknown(name, user_frame(), _UnknownAttribute)

    def __setattr__(self, name, value):
        if name not in FLAGS:
            raise _unknown(name, user_frame(), _UnknownAttribute)
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        self._assign({name: _flag(name, user_frame()).default})

    def __reduce__(self):
        return "config"  # by name: there is one

    def __dir__(self):
        return [*FLAGS, "context", "key", "reload", "thread_count", "watch"]

    def __repr__(self):
        state = _state()
        width = max(map(len, FLAGS))
        rows = []
        for name, flag in FLAGS.items():
            rows.append(f"{name:{width}} = {flag_text(state.values[name])}  ({state.origin[name]})")
            rows.append(f"{'':{width}}   {flag.__doc__}")
        return "\n".join(rows)


FLAGS: dict[str, Flag] = {name: f for name, f in vars(Config).items() if isinstance(f, Flag)}


def flag_text(value):
    """Return a value as it would be written in the file."""
    return "+".join(sorted(value)) if isinstance(value, frozenset) else str(value)


# ---------------------------------------------------------------- the state behind them
class _Key:
    """An identity: equal flags have the same key, so that compiled entries can compare with `is`."""

    __slots__ = ("__weakref__", "values")

    def __init__(self, values):
        self.values = values

    def __repr__(self):
        return f"<flags {' '.join(f'{n}={flag_text(v)}' for n, v in self.values)}>"


class _State:
    """All flags' values, frozen; the state of a context knows the one it hides."""

    __slots__ = ("key", "origin", "outer", "values")

    def __init__(self, values, origin, outer=None):
        self.values = values
        self.origin = origin
        self.outer = outer
        compiled = tuple((n, values[n]) for n, f in FLAGS.items() if f.compiles)
        with _lock:
            self.key = _keys.get(compiled)
            if self.key is None:
                self.key = _keys[compiled] = _Key(compiled)

    def changed(self, values, origin, outer=None):
        return _State(self.values | values, self.origin | dict.fromkeys(values, origin), outer)


# The state of the innermost context of this thread or task. The compiled dispatcher reads it with
# PyContextVar_Get; None, or nothing set, means the global state.
STATE: ContextVar[_State | None] = ContextVar("tracejit_flags", default=None)

_lock = threading.RLock()
_keys: weakref.WeakValueDictionary[tuple, _Key] = weakref.WeakValueDictionary()
_global: _State | None = None
_watchers: list[Callable[[object], None]] = []


def _after_fork():
    """Replace a lock that a thread, which the child does not have, may have held."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _state():
    return STATE.get() or _global or _base()


def _base():
    """Return the global state, read from environment and file the first time."""
    global _global
    with _lock:
        if _global is None:
            state = _State({n: f.default for n, f in FLAGS.items()}, dict.fromkeys(FLAGS, "default"))
            path, flags = _from_file()
            state = state.changed(_parsed(flags, where=path), path)
            flags = _from_environment(os.environ.get("TRACEJIT_FLAGS", ""))
            _global = state.changed(_parsed(flags, where="TRACEJIT_FLAGS"), "TRACEJIT_FLAGS")
            _notify(_global)
        return _global


def _notify(state):
    for notify in _watchers:
        notify(state.key)


class _Context(contextlib.ContextDecorator):
    """The flags of one `config.context(...)`; it may be entered again, and by many threads."""

    def __init__(self, values):
        self._values = values

    def __enter__(self):
        STATE.set(_state().changed(self._values, "context", outer=STATE.get()))
        return config

    def __exit__(self, *exc):
        STATE.set(STATE.get().outer)
        return False


# ---------------------------------------------------------------- reading
def _from_environment(line):
    """Return the flags of `a=b,c=d`; a name alone means True."""
    flags = {}
    for item in line.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if name:
            flag = _flag(name, "TRACEJIT_FLAGS")
            if not equals and flag.parse is not boolean:
                raise ConfigError(
                    f"flag {name} has no value", where="TRACEJIT_FLAGS", do=f"Write {name}=<value>."
                )
            flags[name] = value if equals else True
    return flags


def _from_file():
    """Return the path of the user's file and its flags; no file means no flags."""
    named = os.environ.get("TRACEJIT_RC")
    path = os.path.expanduser("~/.tracejitrc" if named is None else named)
    if not path or (named is None and not os.path.isfile(path)):
        return path, {}
    import configparser  # only those who have a file pay for it

    reader = configparser.ConfigParser(interpolation=None, delimiters=("=",), default_section="tracejit")
    try:
        with open(path, encoding="utf-8") as lines:
            reader.read_file(lines)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        what = " ".join(str(error).split())
        raise ConfigError(
            f"the flags' file cannot be read: {what}",
            where=path,
            do="Write [tracejit] and below it lines `flag = value`, or set TRACEJIT_RC to another path.",
        ) from error
    if reader.sections():
        raise ConfigError(
            f"unknown section [{reader.sections()[0]}]", where=path, do="Put the flags under [tracejit]."
        )
    return path, dict(reader.defaults())


def _parsed(flags, where):
    values = {}
    for name, value in flags.items():
        flag = _flag(name, where)
        try:
            values[name] = flag.parse(value)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"flag {name} does not take {value!r}", where=where, do=f"Give it {error}."
            ) from None
    return values


def _flag(name, where):
    if name not in FLAGS:
        raise _unknown(name, where)
    return FLAGS[name]


class _UnknownAttribute(ConfigError, AttributeError):
    """A flag that does not exist, met as an attribute: `hasattr` goes on working."""


def _unknown(name, where, cls=ConfigError):
    import difflib  # only a mistake pays for it

    close = difflib.get_close_matches(name, FLAGS, 1)
    return cls(
        f"unknown flag {name!r}" + (f", did you mean {close[0]!r}?" if close else ""),
        where=where,
        do="Use one of: " + ", ".join(FLAGS) + ".",
    )


# ---------------------------------------------------------------- the machine
def available_cpus():
    """Return the CPUs this process may use: the least of affinity, cgroup quota and OMP_NUM_THREADS."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    limits = [count, *_cgroup_limits()]
    asked = re.match(r"\s*(\d+)", os.environ.get("OMP_NUM_THREADS", ""))
    if asked and int(asked[1]) > 0:
        limits.append(int(asked[1]))
    return max(1, min(limits))


def _cgroup_limits(proc="/proc/self/cgroup", root="/sys/fs/cgroup"):
    """Yield the CPU quotas, rounded up, of this process's control groups and those around them (Linux)."""
    try:
        with open(proc) as lines:
            groups = [line.rstrip("\n").split(":", 2) for line in lines]
    except OSError:
        return
    for fields in groups:
        if len(fields) != 3:
            continue
        _, controllers, group = fields
        if controllers and "cpu" not in controllers.split(","):
            continue
        # version 2 has one hierarchy without a name; inside a container the group is often not visible
        # under its own path, and the root of the mount is the container's group
        top = root if not controllers else os.path.join(root, "cpu")
        parts = [p for p in group.split("/") if p and p != ".."]
        for depth in range(len(parts), -1, -1):
            folder = os.path.join(top, *parts[:depth])
            if controllers:
                words = _words(folder, "cpu.cfs_quota_us") + _words(folder, "cpu.cfs_period_us")
            else:
                words = _words(folder, "cpu.max")
            if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
                yield max(1, math.ceil(int(words[0]) / int(words[1])))


def _words(folder, name):
    try:
        with open(os.path.join(folder, name)) as file:
            return file.read().split()
    except OSError:
        return []


config = Config()
