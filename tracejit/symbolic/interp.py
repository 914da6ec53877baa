"""The meaning of a graph in NumPy: the oracle of every test, and the engine of constant folding."""

import contextvars
import re

import numpy as np

from tracejit.symbolic.ir import Node, const_op, const_value, param, variable
from tracejit.symbolic.types import Type


def evaluate(graph, *args):
    """Return the list of outputs of `graph` on arrays, computed node by node with each op's `ref`."""
    if len(args) != len(graph.params):
        raise TypeError(f"a graph of {len(graph.params)} params was given {len(args)} arguments")
    values = {}
    for leaf, kind, value in zip(graph.inputs(), graph.params, args):
        value = np.asarray(value, kind.dtype)
        values[leaf] = value.reshape(kind.shape) if kind.is_static else value
    return evaluate_nodes(graph.outs, values)


def evaluate_nodes(outs, values):
    """Return the arrays of `outs`, given the arrays of leaves in `values` (node → array)."""
    return extend(outs, dict(values))


def extend(outs, values):
    """Return the arrays of `outs`, and put those of all nodes on the way into `values`; what is there is not redone."""
    ear = _listening.get()
    with np.errstate(all="ignore") if ear is None else np.errstate(all="log", call=ear):
        for node in _needed(outs, values):
            if node.op is const_op:
                values[node] = const_value(node)
                continue
            if node.op in (param, variable):
                raise KeyError(f"no value for {node}")
            attrs = dict(zip(node.op.attrs, _concrete(node.attrs, values) if node.dims else node.attrs))
            result = node.op.ref(*[values[a] for a in node.args], **attrs)
            values[node] = conform(result, node.type)
            if ear is not None:
                ear.after(node)
    return [values[n] for n in outs]


def _needed(outs, values):
    """Return the nodes that `outs` need and `values` lacks, arguments first."""
    order, seen, stack = [], set(), [(n, False) for n in reversed(outs) if n not in values]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((a, False) for a in (*reversed(node.args), *node.dims) if a not in seen and a not in values)
    return order


def _concrete(attrs, values):
    """Return attrs with the nodes in them as ints."""
    return tuple(int(values[v]) if isinstance(v, Node) else _concrete(v, values) if isinstance(v, tuple) else v
                 for v in attrs)


def conform(result, kind):
    """Return a ref's result as arrays of exactly the node's type; only a NumPy scalar may stand for a 0-d array."""
    if type(kind) is not Type:
        return tuple(conform(r, t) for r, t in zip(result, kind))
    array = np.asarray(result)
    if array.dtype != kind.dtype or (kind.is_static and array.shape != kind.shape):
        raise AssertionError(f"a ref returned {array.dtype}{array.shape} for {kind}")
    return array


# ---------------------------------------------------------------- what NumPy says of floating-point arithmetic
_listening = contextvars.ContextVar("tracejit_listening", default=None)
_KINDS = {"divide by zero": "divide", "overflow": "over", "underflow": "under", "invalid value": "invalid"}
_SAID = re.compile(rf"({'|'.join(_KINDS)}) encountered in (.*)")


class _Enough(BaseException):
    """The walk has taken as many steps as it may; no function on the way is to catch this."""


class _Ear:
    """Hears NumPy's floating-point errors, which its mode "log" writes to it, and tells them apart by node."""

    def __init__(self, steps):
        self.events, self._steps, self._heard = {}, steps, []

    def write(self, text):
        self._heard.append(text)

    def after(self, node):
        if self._heard:
            mine = self.events.setdefault(node, {})
            for said in map(_SAID.search, self._heard):
                mine.setdefault(_KINDS[said[1]], said[2].strip())
            self._heard.clear()
        self._steps -= 1
        if self._steps < 0:
            raise _Enough


def listen(walk, steps):
    """Return what NumPy says of floating-point errors while ``walk()`` evaluates nodes: node → {kind: its words' name}.

    Nodes come in the order of their first error, those of loops' bodies too. The walk ends after so many nodes.
    """
    ear = _Ear(steps)
    token = _listening.set(ear)
    try:
        walk()
    except _Enough:
        pass
    finally:
        _listening.reset(token)
    return ear.events
