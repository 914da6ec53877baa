"""The system's C compiler: which one, with which flags, and from C text to a loaded library.

Flags are chosen one by one: none may change a result by more than rounding. NaN, infinities and signed zero
keep their meaning, integers wrap around, products are fused with sums only where the source says so (tj_fma),
complex products and quotients are NumPy's. What a compiler is and understands is found out once per machine
and kept in the disk cache.
"""

import ctypes
import errno
import functools
import importlib.util
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tracejit.config import config
from tracejit.errors import CompileError
from tracejit.kernels import cache
from tracejit.kernels.c.abi import ffi

TIMEOUT = 300.0  # seconds for one translation unit
_PROBE = "10"  # change it with anything the probe decides on
_REMEDY = "Name a working compiler with TRACEJIT_FLAGS=cc=/path/to/cc, or do without: TRACEJIT_FLAGS=backend=numba."

_GNU = (
    "-O3",
    "-fno-math-errno",  # sqrt is one instruction
    "-fno-trapping-math",  # flags that are raised without need cost a look, and nothing else
    "-ffp-contract=off",  # a*b - c*d is what NumPy makes of it
    "-fwrapv",  # integers wrap around
    "-fno-strict-aliasing",  # the plan puts arrays of several dtypes into the same memory
    "-fPIC",
    "-fvisibility=hidden",
    "-w",
)
_GNU_OPTIONAL = (
    "-march=native",
    "-fopenmp-simd",
    "-fcx-fortran-rules",
    "-fno-tree-pre",  # it moves calls up over selects: arcsin(clip(x)) would get arguments beyond its domain
    "-fno-split-paths",  # it makes jumps of choices, which no processor guesses right
    "-std=gnu11",
    "-pipe",
)
# the parts of -ffast-math without its start-up code, which would flush denormals in the whole process
_FAST = ("-fno-signed-zeros", "-ffinite-math-only", "-fassociative-math", "-freciprocal-math", "-ffp-contract=fast")
_MSVC = ("/nologo", "/O2", "/fp:precise", "/std:c11", "/w", "/LD")


@dataclass(frozen=True)
class Compiler:
    """A compiler that works: its command, its family (gcc, clang or msvc), its version and our flags."""

    command: tuple[str, ...]
    family: str
    version: str
    flags: tuple[str, ...]

    def line(self, source, target, flags=()):
        """Return the command that compiles the file `source` into the shared library `target`."""
        if self.family == "msvc":
            return [*self.command, *self.flags, *flags, str(source), f"/Fe:{target}", f"/Fo:{target}.obj"]
        return [*self.command, *self.flags, *flags, "-shared", str(source), "-o", str(target), "-lm"]

    def __str__(self):
        return f"{' '.join(self.command)} ({self.version.splitlines()[0]}) {' '.join(self.flags)}"


@functools.cache
def prelude():
    """Return the text of tracejit.h, which stands in front of every source."""
    return (Path(__file__).parent / "c" / "tracejit.h").read_text(encoding="utf-8")


def unit(body, threads):
    """Return a translation unit; line numbers in the compiler's messages are those of `body`."""
    return f'#define TJ_THREADS {threads}\n{prelude()}\n#line 1 "tracejit.c"\n{body}'


class Library(NamedTuple):
    """A loaded library, which stays loaded while somebody holds `functions`, and its file."""

    functions: Any
    path: str


# ---------------------------------------------------------------- which compiler
def compiler():
    """Return the compiler to use.

    Raises
    ------
    CompileError
        If none is found, or the one that the flag `cc` names does not work.
    """
    return _compiler(config.cc, os.environ.get("PATH", ""))


def available():
    """Say whether there is a C compiler that works."""
    try:
        return compiler() is not None
    except CompileError:
        return False


@functools.lru_cache(16)
def _compiler(asked, path):
    problems = []
    for command in _candidates(asked):
        try:
            return _known(command)
        except CompileError as error:
            problems.append(error)
    if problems:
        raise problems[0]
    what = f"no compiler {asked!r}" if asked else "no C compiler (looked for cc, gcc, clang and the ziglang package)"
    raise CompileError(what, do=_REMEDY)


def _candidates(asked):
    """Yield the commands that might be a compiler: what the user asks for, or what there is."""
    if asked:
        command = [asked] if os.path.exists(asked) else shlex.split(asked, posix=os.name == "posix")
        found = command and shutil.which(command[0])
        if found:
            yield (found, *command[1:])
        return
    for name in ("cl", "gcc", "clang") if os.name == "nt" else ("cc", "gcc", "clang"):
        found = shutil.which(name)
        if found:
            yield (found,)
    zig = importlib.util.find_spec("ziglang")
    if zig is not None and zig.submodule_search_locations:
        binary = Path(zig.submodule_search_locations[0]) / ("zig.exe" if os.name == "nt" else "zig")
        if binary.exists():
            yield (str(binary), "cc")


def _known(command):
    """Return what is known of a compiler, from the disk cache or by trying it."""
    key = cache.key("compiler", _PROBE, prelude(), *_identity(command), processor())
    stored = cache.get_blob(key)
    if stored is not None:
        fields = json.loads(stored)
        return Compiler(command, fields["family"], fields["version"], tuple(fields["flags"]))
    found = _probe(command)
    cache.put_blob(key, json.dumps(asdict(found)).encode())
    return found


def _identity(command):
    """Return texts that change with the compiler's files, without running it."""
    for word in command:
        yield word
        if os.path.isfile(word):
            real = os.path.realpath(word)
            about = os.stat(real)
            yield f"{real} {about.st_size} {about.st_mtime_ns}"


@functools.cache
def processor():
    """Return a text that tells processors apart for which -march=native means different code."""
    words = [platform.machine(), sys.platform]
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() in ("model name", "flags", "Features", "CPU part", "CPU implementer", "isa"):
                    words.append(value.strip())
                if not line.strip():
                    break  # the first processor speaks for all
    except OSError:
        words.append(platform.processor())
        words += sorted(f for f, has in _numpy_features().items() if has)
    return "\n".join(words)


def _numpy_features():
    from numpy._core import _multiarray_umath  # where /proc/cpuinfo is missing, NumPy knows best

    return getattr(_multiarray_umath, "__cpu_features__", {})


# ---------------------------------------------------------------- what it understands
_SAMPLE = """
TJ_EXPORT int64_t tj_entry(void **bufs, int64_t *err) {
  const double *TJ_RESTRICT x = bufs[0];
  double *TJ_RESTRICT y = bufs[1];
  double sum = 0;
  TJ_SIMD
  for (int64_t i = 0; i < 1024; i++) y[i] = tanh(x[i]) + exp(x[i]);
  TJ_SIMD_SUM(sum)
  for (int64_t i = 0; i < 1024; i++) sum = tj_fma(x[i], y[i], sum);
  y[0] = sum;
  return 0;
}
"""


def _probe(command):
    """Find out a compiler's family, its version, and which of our flags it takes."""
    version = _version(command)
    words = version.lower()
    if "microsoft" in words:
        avx2 = ("/arch:AVX2",) if _numpy_features().get("AVX2") else ()
        best = found = Compiler(command, "msvc", version, _MSVC + avx2)
    else:
        family = "clang" if "clang" in words or "zig" in words else "gcc"
        level = libmvec()
        vector = (f"-DTJ_LIBMVEC={level}",) if level else ()
        if family == "clang" and level:
            vector = ("-fveclib=libmvec",)
        found = Compiler(command, family, version, _GNU)
        best = Compiler(command, family, version, _GNU + _GNU_OPTIONAL + vector)
    if _takes(best):
        return best
    _try(found)  # without any of the optional flags it has to work, or says why not
    kept = ()
    for flag in best.flags[len(found.flags) :]:
        if _takes(Compiler(command, found.family, version, found.flags + kept + (flag,))):
            kept += (flag,)
    return Compiler(command, found.family, version, found.flags + kept)


def _version(command):
    try:
        done = _run([*command] if "cl" == Path(command[0]).stem.lower() else [*command, "--version"], None, 60.0)
    except OSError as error:
        raise CompileError(f"{command[0]} cannot be run: {error.strerror}", do=_REMEDY) from error
    return done.output.strip() or "unknown version"


def _try(compiler):
    """Compile and load the sample: flags must be understood, and the vector math be found."""
    _somewhere(lambda store, work: _open(compile_to(work / _file("sample"), unit(_SAMPLE, 1), compiler)))


def _takes(compiler):
    try:
        _try(compiler)
    except CompileError:
        return False
    return True


def libmvec():
    """Return how much vector math glibc has: 0 none, 1 since 2.22, 2 since 2.35 (see tracejit.h)."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return 0
    try:
        library = ctypes.CDLL("libmvec.so.1")
    except OSError:  # another C library
        return 0
    return 2 if hasattr(library, "_ZGVdN4v_tanh") else 1 if hasattr(library, "_ZGVdN4v_exp") else 0


# ---------------------------------------------------------------- from text to a library
@dataclass
class _Done:
    code: int
    output: str


def _run(line, work, timeout):
    """Run a command with a time limit, which its children share."""
    environment = os.environ | {"LC_ALL": "C"}
    if work is not None:
        environment["TMPDIR"] = str(work)  # what a killed compiler leaves goes away with the folder
    own_group = {"start_new_session": True} if os.name == "posix" else {}
    process = subprocess.Popen(
        line,
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **own_group,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except BaseException:  # also the user's Ctrl-C, which does not reach the other group
        if own_group:
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.communicate()
        raise
    return _Done(process.returncode, output.decode("utf-8", "replace"))


def compile_to(target, source, compiler, flags=(), timeout=None):
    """Compile the text `source` into the shared library `target`; return its path.

    Raises
    ------
    CompileError
        With the compiler's own words.
    OSError
        If the disk is full: the caller has other places.
    """
    target = Path(target)
    file = target.with_suffix(".c")
    file.write_text(source, encoding="utf-8")
    limit = TIMEOUT if timeout is None else timeout
    line = compiler.line(file, target, flags)
    try:
        done = _run(line, target.parent, limit)
    except subprocess.TimeoutExpired:
        raise CompileError(
            f"{compiler.command[0]} took longer than {limit:g} s",
            where=f"{len(source.splitlines())} lines of generated C",
            do="Split the jitted function, or use TRACEJIT_FLAGS=backend=numba.",
        ) from None
    except OSError as error:
        raise CompileError(f"{line[0]} cannot be run: {error.strerror}", do=_REMEDY) from error
    if done.code == 0 and target.exists():
        return target
    if "No space left on device" in done.output or "Disk quota exceeded" in done.output:
        raise OSError(errno.ENOSPC, "no space left on the disk")
    how = f"was killed by signal {-done.code}" if done.code < 0 else f"failed with status {done.code}"
    raise CompileError(
        f"{compiler.command[0]} {how}: {_excerpt(done.output)}",
        where="the generated C, which print(f.trace(...).lower().compile()) shows",
        do=_REMEDY,
    )


def _excerpt(output, lines=12):
    """Return the lines of the compiler's output that say what is wrong."""
    said = [line.rstrip() for line in output.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(said) if "error" in line.lower()), 0)
    return "\n    ".join(said[start : start + lines])[:2000] or "(it said nothing)"


def library(body, *salt):
    """Compile C text behind the prelude, or find it in the cache; return the loaded Library.

    Texts in `salt` tell libraries apart that have the same text. The library is cffi's,
    by declarations that were parsed beforehand (c/abi.py): parsing them costs 20 ms in each process.

    Raises
    ------
    CompileError
        If there is no compiler, or it fails, or its result cannot be loaded.
    """
    chosen = compiler()
    extra = _FAST if config.fast and chosen.family != "msvc" else ()
    extra += tuple(shlex.split(config.cflags))
    source = unit(body, config.thread_count())
    parts = [*_identity(chosen.command), chosen.version, *chosen.flags, "+", *extra, "+", *salt]
    key = cache.key(source, processor(), *parts)
    found = cache.get(key)
    if found is not None:
        try:
            return _open(found)
        except (OSError, CompileError):
            pass  # removed in the meantime, or in a folder where nothing may be executed: compile

    def make(store, work):
        return _open(store.put(key, compile_to(work / _file("kernel"), source, chosen, extra)))

    return _somewhere(make)


def _somewhere(make):
    """Return `make(store, working folder)` from the first store that has room and may hold code."""
    problem = "none can be written"
    for store in cache.stores():
        try:
            with store.work() as work:
                return make(store, work)
        except OSError as error:
            cache.complain(store.folder, error)
            problem = error
    raise CompileError(
        f"no folder to compile in: {problem}",
        do="Free some disk space, or name a folder that can be written with TRACEJIT_FLAGS=cache_dir=/path.",
    )


def _file(name):
    return name + cache.SUFFIX


def _open(path):
    try:
        return Library(ffi.dlopen(os.fspath(path)), os.fspath(path))
    except OSError as error:
        words = str(error)
        if not os.path.exists(path) or "failed to map segment" in words or "not permitted" in words:
            raise OSError(errno.EACCES, "code in it may not be executed") from error
        raise CompileError(f"compiled code cannot be loaded: {words}", do=_REMEDY) from error
