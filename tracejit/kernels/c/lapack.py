"""What the routines that call LAPACK share: the loop over a stack, scratch memory, workspaces, memory orders.

LAPACK's matrices are column-major: operands are copied transposed into scratch memory, and results back.
"""

import ctypes
import functools
import math

import numpy as np

from tracejit.kernels import blas
from tracejit.kernels.c.routines import PREFIX, routine
from tracejit.kernels.c.spell import memory_type
from tracejit.kernels.program import FAILURES, SCRATCH
from tracejit.symbolic.types import C64, C128, F32, F64, REAL_OF

#: LAPACK's integers.
INT = np.dtype(np.int32)
#: Multiplications up to which OpenBLAS's threads, which it starts for two by two matrices, cost more than they save.
_SMALL = 128**3
_C = {F32: "float", F64: "double", C64: "float _Complex", C128: "double _Complex"}


def letter(dtype):
    """Return the letter with which LAPACK's names for a dtype begin."""
    return PREFIX[dtype]


def real_dtype(dtype):
    """Return the dtype of the real numbers that go with a dtype."""
    return REAL_OF.get(dtype, dtype)


def matrix(node):
    """Return (rows, columns) of the first operand."""
    return node.args[0].shape[-2:]


def lapack(name, areas):
    """Register a routine on stacks of matrices.

    The decorated function ``(unit, node) -> lines`` writes what is done for one member of the stack: its operands are
    p0, p1, …, its results r0, r1, …, and the scratch areas that ``areas(node) -> {name: (dtype, elements)}`` asks for
    have their own names. Where LAPACK's `info` says so (negative for NaN), the error is raised
    that FAILURES has for the routine.
    """
    def register(body):
        SCRATCH[name] = lambda node: _packed(areas(node))[1]

        @routine(name)
        def write(unit, call):
            node = call.node
            count = math.prod(node.args[0].shape[:-2])
            if count == 0 or all(b.size == 0 for b in call.results):
                return []
            pointers, moves = [], []
            for prefix, buffers in (("p", call.operands), ("r", call.results)):
                const = "const " if prefix == "p" else ""
                for k, b in enumerate(buffers):
                    pointers.append(f"{const}{memory_type(b.dtype)} *{prefix}{k} = {unit.pointer(b)};")
                    moves.append(f"{prefix}{k} += {b.size // count}")
            offsets, _ = _packed(areas(node))
            work = [f"{_area_type(dtype)} *{area} = (void *)(scratch + {offsets[area]});"
                    for area, (dtype, _) in areas(node).items()]
            inner = body(unit, node)
            before, after = _alone(unit, node)
            if name in FAILURES:
                inner = [*inner, f"if (info != 0) {{ {after} fail[0] = {call.code}; goto failed; }}"]
            return [
                before,
                f"char *scratch = {unit.pointer(call.scratch)};",
                *pointers,
                *work,
                "int info = 0;",
                f"for (int64_t s = 0; s < {count}; s++, {', '.join(moves)}) {{",
                *("  " + line for line in inner),
                "}",
                after,
            ]
        return body
    return register


def _alone(unit, node):
    """Return what stands before and after the calls: matrices for which threads do not pay are one thread's."""
    rows, columns = matrix(node)
    if rows * columns * max(n for a in node.args for n in a.shape[-2:]) > _SMALL:
        return "tj_pool->rest();", ""  # LAPACK's own threads need the cores
    get, put = unit.routine("blas_get_threads"), unit.routine("blas_set_threads")
    return f"const int threads = {put} ? {get}() : 0; if (threads > 1) {put}(1);", f"if (threads > 1) {put}(threads);"


def _packed(areas):
    """Return (offsets by name, bytes in all) of areas that begin at multiples of 64."""
    offsets, at = {}, 0
    for name, (dtype, count) in areas.items():
        offsets[name] = at
        at += -(-max(1, count) * np.dtype(dtype).itemsize // 64) * 64
    return offsets, max(1, at)


def _area_type(dtype):
    return _C.get(np.dtype(dtype)) or "int"


def call(unit, name, dtype, *arguments):
    """Return the call of a LAPACK routine; letters are quoted, numbers get an address, `info` is added.

    Texts are C expressions of pointers; those of other types are cast in C, where only their size matters.
    """
    numbers, texts = [], []
    for k, a in enumerate(arguments):
        if isinstance(a, int):
            numbers.append(f"n{k} = {a}")
            texts.append(f"&n{k}")
        elif len(a) == 1 and a.isupper():
            texts.append(f'"{a}"')
        else:
            texts.append(f"(void *)({a})")
    declared = f"int {', '.join(numbers)}; " if numbers else ""
    return f"{{ {declared}{unit.routine(letter(dtype) + name)}({', '.join(texts)}, &info); }}"


@functools.cache
def workspaces(name, *arguments):
    """Ask LAPACK for the best sizes of its workspaces, which among the arguments are named by their dtypes."""
    kept, wanted, pointers = [], [], []
    for a in arguments:
        if isinstance(a, str):
            kept.append(ctypes.create_string_buffer(a.encode()))
        elif isinstance(a, int):
            kept.append(ctypes.c_int(a))
        else:
            kept.append(ctypes.create_string_buffer(64))
            if a is not None:
                wanted.append((kept[-1], np.dtype(a)))
        pointers.append(ctypes.cast(ctypes.pointer(kept[-1]), ctypes.c_void_p))
    info = ctypes.c_int()
    pointers.append(ctypes.cast(ctypes.pointer(info), ctypes.c_void_p))
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers))(blas.pointer(name))
    function(*pointers)
    # a size in single precision may have been rounded down
    return tuple(max(1, int(np.frombuffer(raw, dtype, 1)[0].real * (1 + 1e-6)) + (dtype.kind != "i"))
                 for raw, dtype in wanted)


def into_columns(target, source, rows, columns, lead=None):
    """Return the line that puts a row-major matrix into column-major `target`."""
    lead = rows if lead is None else lead
    return (
        f"for (int64_t i = 0; i < {rows}; i++) for (int64_t j = 0; j < {columns}; j++) "
        f"{target}[i + j * {lead}] = {source}[i * {columns} + j];"
    )


def into_rows(target, source, rows, columns, lead=None):
    """Return the line that puts a column-major matrix into row-major `target`."""
    lead = rows if lead is None else lead
    return (
        f"for (int64_t i = 0; i < {rows}; i++) for (int64_t j = 0; j < {columns}; j++) "
        f"{target}[i * {columns} + j] = {source}[i + j * {lead}];"
    )


