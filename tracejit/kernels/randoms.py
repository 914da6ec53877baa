"""Random samplers: c/random.c, compiled once, and reached by address as BLAS is.

Samplers that reject draws in ways of their own are NumPy's, whose library exports them.
"""

import ctypes
import functools
import re
import sys
from pathlib import Path

from tracejit.errors import UnsupportedError
from tracejit.kernels import blas
from tracejit.kernels import compile as compiling

_SAMPLER, _NUMPY = re.compile(r"(philox|pcg64)_(\w+)"), re.compile(r"npyrandom_(\w+)")
_PROTOTYPE = ("typedef void (*tj_{name})(const void *, void *, void *, int64_t, const void *const *, "
              "const int64_t *);")
#: Macros of c/random.c that define samplers: the pattern of a name, and the suffix that the macro adds.
_DEFINITIONS = ((r"^SAMPLER\((\w+)\)", ""), (r"^CONTINUOUS\d\((\w+)\)", "_f64"), (r"^COUNTS1\((\w+)\)", "_i64"),
                (r"^BOUNDED\((\w+),", "bounded_"), (r"^BOUNDED_EACH\((\w+),", "bounded_each_"))


def is_name(text):
    """Say whether a routine's name is that of a sampler, or of a function of NumPy's that samplers use."""
    return _SAMPLER.fullmatch(text) is not None or _NUMPY.fullmatch(text) is not None


def prototype(text):
    """Return the C text that declares the type of a sampler."""
    return _PROTOTYPE.format(name=text)


def pointer(text):
    """Return the address of a sampler, or of a function of NumPy's."""
    found = _NUMPY.fullmatch(text)
    if found is None:
        generator, sampler = _SAMPLER.fullmatch(text).groups()
        return _samplers(generator)[sampler]
    # `numpy.random` costs 10 ms at import; only draws need it
    from numpy.random import _generator

    try:
        return ctypes.cast(getattr(ctypes.CDLL(_generator.__file__), found[1]), ctypes.c_void_p).value
    except (OSError, AttributeError) as error:
        raise UnsupportedError(f"this NumPy does not export {found[1]}",
                               do="draw outside the jitted function and pass the numbers in") from error


@functools.cache
def names():
    """Return the names of all samplers, as they stand in the source."""
    found = []
    for pattern, affix in _DEFINITIONS:
        made = re.findall(pattern, _text(), re.MULTILINE)
        found += [affix + n if affix.endswith("_") else n + affix for n in made]
    return tuple(dict.fromkeys(found))  # some have two definitions, by the generator


@functools.cache
def _text():
    return (Path(__file__).parent / "c" / "random.c").read_text(encoding="utf-8")


def source(generator):
    """Return (the whole source for "philox" or "pcg64", the functions of NumPy's that it needs)."""
    needs = re.findall(r"^NUMPY\([^,]+, (\w+)", _text(), re.MULTILINE)
    taken = [f"  *(void **)&{name} = routines[{k}];" for k, name in enumerate(needs)]
    given = [f"  b[{k}] = (void *)sample_{name};" for k, name in enumerate(names())]
    tail = [
        "TJ_EXPORT void tj_bind(const tj_api *api, void *const *routines) {", "  tj_pool = api;", *taken,
        "  if (!normals.ready) learn(&normals, 0);", "  if (!exponentials.ready) learn(&exponentials, 1);", "}", "",
        "TJ_EXPORT int64_t tj_entry(void **b, int64_t *err) {", *given, "  return 0;", "}", "",
    ]
    head = "#define TJ_PCG64\n" if generator == "pcg64" else ""
    return f"{head}{_text()}\n" + "\n".join(tail), tuple(f"npyrandom_{name}" for name in needs)


@functools.cache
def _samplers(generator):
    """Return the addresses of all samplers by name."""
    loaded = compiling.load(*source(generator))
    table = (ctypes.c_void_p * len(names()))()
    ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(loaded.address)(table, None)
    return dict(zip(names(), table))


blas.PROVIDERS.append(sys.modules[__name__])
