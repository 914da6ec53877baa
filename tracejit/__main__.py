"""The command line: `python -m tracejit info` describes the installation, `cache` the disk cache."""

import argparse
import ctypes
import importlib
import os
import platform
import sys
from importlib import metadata

from tracejit._version import __version__
from tracejit.config import FLAGS, available_cpus, config, flag_text
from tracejit.errors import CompileError, TracejitError
from tracejit.kernels import cache, toolchain

LIBRARIES = ("numpy", "scipy", "cffi", "numba", "llvmlite", "optree", "cupy-cuda12x", "cupy-cuda13x", "ziglang")


def main(argv=None):
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tracejit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="versions, compiler, BLAS, threads, cache, GPUs, flags")
    commands.add_parser("flags", help="every flag with its value, where that came from, and its meaning")
    command = commands.add_parser("cache", help="the disk cache: its folder and size")
    command.add_argument("--clear", action="store_true", help="empty it")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "info":
            show_info()
        elif arguments.command == "flags":
            print(config)
        else:
            if arguments.clear:
                cache.clear()
            print(cache_line())
    except TracejitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def show_info():
    """Print one line per fact."""
    facts = {
        "tracejit": f"{__version__}, {os.path.dirname(os.path.abspath(__file__))}",
        "python": f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}",
        "platform": f"{platform.platform()}, {platform.machine()}",
        "libraries": ", ".join(f"{name} {version}" for name, version in versions()),
        "compiler": compiler_line(),
        "dispatcher": dispatcher_line(),
        "blas": blas_line(),
        "threads": f"{config.thread_count()} (CPUs this process may use: {available_cpus()}, in all: {os.cpu_count()})",
        "cache": cache_line(),
        "gpus": "; ".join(gpus()) or "none",
        "flags": ", ".join(f"{n}={flag_text(v)}" for n, v in changed_flags()) or "all at their defaults",
    }
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {fact}")


def versions():
    """Yield the name and version of each library that is installed."""
    for name in LIBRARIES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def compiler_line():
    """Return the C compiler, its version and flags, or what serves in its place."""
    try:
        return str(toolchain.compiler())
    except CompileError as error:
        return f"none, the Numba backend serves: {error.what}. {error.do or ''}".strip()


def dispatcher_line():
    """Return which of the two dispatchers serves."""
    try:
        importlib.import_module("tracejit._dispatch")
    except ImportError:
        return "Python (the extension was not built: calls take longer)"
    return "compiled"


def blas_line():
    """Return the BLAS that SciPy carries, which is ours."""
    import scipy  # half of this command's time, and the library that knows

    blas = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']} (SciPy's)"


def cache_line():
    """Return the folder of the disk cache, its size, and its limit."""
    use = "" if config.cache else ", not used (cache=False)"
    return f"{cache.folder()}, {bytes_text(cache.size())} of {bytes_text(config.cache_size)}{use}"


def bytes_text(n):
    """Return a number of bytes in the largest unit of 1024 that leaves at least one."""
    unit = 0
    while n >= 1024 and unit < 4:
        n, unit = n / 1024, unit + 1
    return f"{n:.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}" if unit else f"{n} B"


def changed_flags():
    """Yield the flags that are not at their defaults."""
    for name, flag in FLAGS.items():
        value = getattr(config, name)
        if value != flag.default:
            yield name, value


def gpus():
    """Yield one text per CUDA device, asked of the driver, which needs no other library."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return
    count, version = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return
    driver.cuDriverGetVersion(ctypes.byref(version))
    for number in range(count.value):
        device, name = ctypes.c_int(), ctypes.create_string_buffer(128)
        memory = ctypes.c_size_t()
        driver.cuDeviceGet(ctypes.byref(device), number)
        driver.cuDeviceGetName(name, len(name), device)
        driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
        major, minor = divmod(version.value // 10, 100)
        yield f"cuda:{number} {name.value.decode()}, {bytes_text(memory.value)}, CUDA {major}.{minor}"


if __name__ == "__main__":
    sys.exit(main())
