"""Fourier transforms along one axis, by our own library (kernels/ffts.py)."""

from tracejit.kernels import ffts
from tracejit.kernels.c.routines import routine
from tracejit.symbolic.types import REAL_OF, dtype_name


def _count(unit, shape):
    """Return the number of elements of a shape as C text."""
    return " * ".join(["(int64_t)1", *(unit.size(n) if hasattr(n, "op") else str(n) for n in shape)])


def _transform(kind, length):
    def write(unit, call):
        node = call.node
        axis, scaling = node.attr("axis"), node.attr("scaling")
        (out,) = call.results
        if type(out.size) is int and out.size == 0:
            return []
        shape = node.args[0].shape
        n = length(node)
        size = unit.size(n) if hasattr(n, "op") else str(n)
        real = REAL_OF.get(node.dtype, node.dtype)
        name = unit.routine(f"fft_{kind}_{dtype_name(real)}")
        scale = {"one": "1.0", "mean": f"1.0 / ({size})", "root": f"1.0 / sqrt((double)({size}))"}[scaling]
        inverse = int(kind == "complex" and node.attr("inverse"))
        before, behind = _count(unit, shape[:axis]), _count(unit, shape[axis + 1 :])
        source, target = unit.pointer(call.operands[0]), unit.pointer(out)
        return [f"{name}(tj_pool, {source}, {target}, {before}, {size}, {behind}, {inverse}, {scale});"]

    return write


routine("fft")(_transform("complex", lambda node: node.shape[node.attr("axis")]))
routine("rfft")(_transform("real", lambda node: node.args[0].shape[node.attr("axis")]))
routine("irfft")(_transform("back", lambda node: node.attr("n")))

#: The library whose functions the routines call by name.
LIBRARY = ffts
