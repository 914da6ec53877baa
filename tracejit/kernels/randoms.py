"""Random samplers: the texts c/random*.c, compiled once per generator, and reached by address as BLAS is.

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

#: Generator → the texts of its words, and what its text asks for by macro.
_WORDS = {
    "philox": ("philox", "halves", "blocks"),
    "pcg64": ("pcg64", "halves", "registers"),
    "pcg64dxsm": ("pcg64", "halves", "registers"),
    "sfc64": ("sfc64", "halves", "registers"),
    "mt19937": ("mt19937",),
}
_MACROS = {"pcg64dxsm": "#define TJ_DXSM\n"}
_SAMPLER, _NUMPY = re.compile(rf"({'|'.join(_WORDS)})_(\w+)"), re.compile(r"npyrandom_(\w+)")
_PROTOTYPE = ("typedef void (*tj_{name})(const void *, void *, void *, int64_t, const void *const *, "
              "const int64_t *);")
#: Macros that define samplers: the pattern of a name, and what is put around it.
_DEFINITIONS = (
    (r"^SAMPLER\((\w+)\)", "{}"), (r"^CONTINUOUS\d\((\w+)\)", "{}_f64"), (r"^COUNTS1\((\w+)\)", "{}_i64"),
    (r"^BOUNDED\((\w+),", "bounded_{}"), (r"^BOUNDED_EACH\((\w+),", "bounded_each_{}"), (r"^ONE\((\w+),", "legacy_{}"),
    (r"^WITH_TWO\((\w+),", "legacy_{}_f64"), (r"^MASKED_(?:FILL|NUMPY)\((\w+),", "legacy_masked_{}"),
    (r"^MASKED_EACH(?:_NUMPY)?\((\w+),", "legacy_masked_each_{}"))


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
        return _samplers(generator, sampler.startswith("legacy_"))[sampler]
    # `numpy.random` costs 10 ms at import; only draws need it
    from numpy.random import _generator

    try:
        return ctypes.cast(getattr(ctypes.CDLL(_generator.__file__), found[1]), ctypes.c_void_p).value
    except (OSError, AttributeError) as error:
        raise UnsupportedError(f"this NumPy does not export {found[1]}",
                               do="draw outside the jitted function and pass the numbers in") from error


@functools.cache
def _text(generator, legacy):
    """Return the text of all samplers of one generator: those of Generator, or of RandomState."""
    samplers = ("random",) if not legacy else ("random_legacy", "random_seeds")[:2 if generator == "mt19937" else 1]
    parts = ["words", *_WORDS[generator], "samplers"]
    names = [*(f"random_{part}" for part in parts), *samplers]
    return "\n".join((Path(__file__).parent / "c" / f"{name}.c").read_text(encoding="utf-8") for name in names)


@functools.cache
def names(generator, legacy=False):
    """Return the names of all samplers of one generator, as they stand in the source."""
    found = []
    for pattern, whole in _DEFINITIONS:
        found += map(whole.format, re.findall(pattern, _text(generator, legacy), re.MULTILINE))
    return tuple(found)


def source(generator, legacy=False):
    """Return (the whole source for a generator, the functions of NumPy's that it needs)."""
    text = _text(generator, legacy)
    needs = re.findall(r"^NUMPY(?:_FUNCTION)?\([^,]+, (\w+)", text, re.MULTILINE)
    taken = [f"  *(void **)&{name} = routines[{k}];" for k, name in enumerate(needs)]
    given = [f"  b[{k}] = (void *)sample_{name};" for k, name in enumerate(names(generator, legacy))]
    learned = ["  if (!normals.ready) learn(&normals, 0);", "  if (!exponentials.ready) learn(&exponentials, 1);"]
    tail = [
        "TJ_EXPORT void tj_bind(const tj_api *api, void *const *routines) {", "  tj_pool = api;", *taken,
        *([] if legacy else learned), "}", "", "TJ_EXPORT int64_t tj_entry(void **b, int64_t *err) {", *given,
        "  return 0;", "}", "",
    ]
    return f"{_MACROS.get(generator, '')}{text}\n" + "\n".join(tail), tuple(f"npyrandom_{name}" for name in needs)


@functools.cache
def _samplers(generator, legacy):
    """Return the addresses of all samplers by name."""
    loaded = compiling.load(*source(generator, legacy))
    found = names(generator, legacy)
    table = (ctypes.c_void_p * len(found))()
    ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(loaded.address)(table, None)
    return dict(zip(found, table))


blas.PROVIDERS.append(sys.modules[__name__])
