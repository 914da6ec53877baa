"""Which outputs may be computed straight into the argument that they replace."""

import math

from tracejit.kernels.loop_ir import For, Store, children, index_op, load_op
from tracejit.symbolic.graph import topological


def direct(writes, kernels, uses):
    """Return the pairs (param, output) of `writes` for which the output's memory may be the param's own.

    It may where one kernel computes the output, each element from the param's element in the same place and no other,
    and nothing reads the param in that kernel otherwise, or later.

    Parameters
    ----------
    writes : sequence of (int, int)
        Params and the outputs that replace them.
    kernels : list
        Per step of the program, its kernel's body, or None for a library routine.
    uses : list of set of str
        Per step, the names of the buffers that it touches.
    """
    found = []
    for i, k in writes:
        old, new = f"x{i}", f"y{k}"
        steps = [s for s, names in enumerate(uses) if new in names]
        if len(steps) == 1 and not any(old in names for names in uses[steps[0] + 1:]):
            body = kernels[steps[0]]
            if body is not None and all(_in_place(s, old, new) for s in _statements(body)):
                found.append((i, k))
    return tuple(found)


def _statements(body):
    """Yield all statements, nested ones too."""
    for s in body:
        yield s
        if isinstance(s, For):
            yield from _statements(s.body)


def _in_place(s, old, new):
    """Return whether a statement reads `old` and writes `new` as an update in place may."""
    loads = [n for n in topological(children(s)) if n.op is load_op and n.attrs[0] == old]
    if isinstance(s, Store) and s.buffer.name == new:
        return all(n.args[0] is s.offset for n in loads)
    touched = {b.name for b in (getattr(s, a, None) for a in ("buffer", "source", "target")) if b is not None}
    return not loads and not touched & {old, new}


def reads_ahead(nest):
    """Say whether a nest that writes a piece of an array may read there what an earlier turn has written.

    It does not where each read is of the very place that is written, or at a distance that no turn of the nest bridges:
    another row, say.
    """
    if not nest.axes:
        return False
    (out,) = nest.outputs
    indices = nest.indices
    place = indices.affine(out.offset)
    if any(n.op is load_op and n.attrs[0] == out.buffer.name for n in topological([out.offset])):
        return True
    span = 0
    for axis in nest.axes:
        most = axis.extent if type(axis.extent) is int else axis.most
        span += math.inf if most is None else abs(place.factor(axis.index)) * max(0, most - 1)
    if any(t.op is not index_op and any(n.op is index_op for n in topological([t])) for t in place.terms):
        span = math.inf
    for load in topological([out.value]):
        if load.op is load_op and load.attrs[0] == out.buffer.name:
            apart = place.plus(indices.affine(load.args[0]), -1)
            if not apart.terms and not apart.constant:
                continue
            if any(n.op is index_op for t in apart.terms for n in topological([t])):
                return True
            if not math.gcd(apart.constant, *apart.terms.values()) > span:
                return True
    return False
