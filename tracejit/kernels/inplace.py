"""Which outputs may be computed straight into the argument that they replace."""

import math

from tracejit.kernels.loop_ir import Accumulate, For, Store, children, load_op
from tracejit.symbolic.graph import topological


def direct(writes, kernels, uses):
    """Return the pairs (param, output) of `writes` for which the output's memory may be the param's own.

    It may where one kernel computes the output, each element from the param's element in the same place and no other,
    and nothing reads the param in that kernel otherwise, or later. Further outputs of the kernel may depend on that
    element, too, when it has been read before it is replaced.

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
            if body is not None and _in_place(body, old, new):
                found.append((i, k))
    return tuple(found)


def _in_place(body, old, new):
    """Return whether statements read `old` and write `new` as an update in place may.

    An element that several statements read is read once, by the first of them.
    """
    stores = [k for k, s in enumerate(body) if isinstance(s, Store) and s.buffer.name == new]
    read = set()
    for k, s in enumerate(body):
        loads = {n for n in topological(children(s)) if n.op is load_op and n.attrs[0] == old}
        touched = {b.name for b in (getattr(s, a, None) for a in ("buffer", "source", "target")) if b is not None}
        if isinstance(s, For):
            fine = not loads and _in_place(s.body, old, new)
        elif k in stores:
            fine = all(n.args[0] is s.offset for n in loads)
        elif loads and isinstance(s, (Store, Accumulate)) and len(stores) == 1:
            fine = all(n.args[0] is body[stores[0]].offset for n in loads) and (k < stores[0] or loads <= read)
            fine = fine and old not in touched
        else:
            fine = not loads and not touched & {old, new}
        if not fine:
            return False
        read |= loads
    return True


def reads_ahead(nest):
    """Say whether a nest that writes a piece of an array may read there what an earlier turn has written.

    It does not where each read is of the very place that is written, or of places that no turn of the nest writes:
    another row, say, or another column.
    """
    if not nest.axes:
        return False
    (out,) = nest.outputs
    indices, name = nest.indices, out.buffer.name
    place = indices.affine(out.offset)
    if any(n.op is load_op and n.attrs[0] == name for n in topological([out.offset])):
        return True
    variables = {a.index: (a.extent if type(a.extent) is int else a.most) for a in nest.axes}
    for load in topological([out.value]):
        if load.op is load_op and load.attrs[0] == name and _may_meet(place, indices.affine(load.args[0]), variables):
            return True
    return False


def _may_meet(place, read, variables):
    """Say whether a turn may read what another one writes; `variables` maps loop variables to their extents or None."""
    apart = place.plus(read, -1)
    if not apart.terms and not apart.constant:
        return False
    fixed = {t: f for t, f in apart.terms.items() if t not in variables}
    forms = {**place.terms, **read.terms}
    if any(t not in variables and any(n in variables for n in topological([t])) for t in forms):
        return True
    # the distance is a sum of these, each with a factor and a range, where the two turns are independent
    moving = [(sign * form.factor(v), most) for sign, form in ((1, place), (-1, read)) for v, most in variables.items()
              if form.factor(v)]
    low, high = _range(moving, apart.constant)
    if not fixed and (low > 0 or high < 0):
        return False
    for m in {abs(f) for f in (*fixed.values(), *(f for f, _ in moving)) if abs(f) > 1}:
        if all(f % m == 0 for f in fixed.values()):
            low, high = _range([(f, most) for f, most in moving if f % m], apart.constant)
            if low // m == high // m and low % m and high % m:
                return False
    if all(t in fixed for t in apart.terms):
        span = max(abs(x) for x in _range([(place.factor(v), most) for v, most in variables.items()], 0))
        return math.gcd(apart.constant, *fixed.values()) <= span
    return True


def _range(moving, constant):
    low = high = constant
    for f, most in moving:
        edge = math.inf if most is None else max(0, most - 1)
        low, high = (low, high + f * edge) if f > 0 else (low + f * edge, high) if f else (low, high)
    return low, high
