"""Functions of the user's that are called back, on whole arrays."""

import hashlib

from tracejit.kernels import pointers
from tracejit.kernels.c.routines import routine
from tracejit.kernels.program import FAILURES

FAILURES["callback"] = "callback"


@routine("callback")
def _callback(unit, call):
    node = call.node
    # operands and results are part of what the name stands for, in whatever process reads the code from disk
    kinds = ", ".join(map(str, (*(a.type for a in node.args), *node.type, *node.attrs)))
    name = f"host_{hashlib.sha256(kinds.encode()).hexdigest()[:16]}"
    pointers.add_callback(name, node)
    places = ", ".join(f"(void *){unit.pointer(b)}" for b in (*call.operands, *call.results))
    return [f"void *places[] = {{{places}}};",
            f"if ({unit.routine(name)}(places)) {{ fail[0] = {call.code}; goto failed; }}"]
