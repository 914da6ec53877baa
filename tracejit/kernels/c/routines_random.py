"""Random draws: each is one call of a sampler, on the state that the draw before it has left."""

from tracejit.kernels import randoms
from tracejit.kernels.c.routines import routine
from tracejit.symbolic.ops.random import STATE
from tracejit.symbolic.types import dtype_name


@routine("draw")
def _draw(unit, call):
    node = call.node
    state, *parameters = [unit.pointer(b) for b in call.operands]
    values, after = map(unit.pointer, call.results)
    generator = "philox" if node.args[0].type is STATE else "pcg64"
    sampler = unit.routine(f"{generator}_{node.attr('sampler')}_{dtype_name(node.attr('dtype'))}")
    sizes = ", ".join(str(b.size) for b in call.operands[1:]) or "0"
    return [
        f"const void *const p[] = {{{', '.join(parameters) or '0'}}};",
        f"const int64_t size[] = {{{sizes}}};",
        f"{sampler}({state}, {after}, {values}, {call.results[0].size}, p, size);",
    ]


assert randoms.is_name("philox_random_f64"), "the samplers are known by being imported"
