"""Random draws: each is one call of a sampler, on the state that the draw before it has left."""

from tracejit.kernels import randoms
from tracejit.kernels.c.routines import routine
from tracejit.symbolic.ops.random import bits_of
from tracejit.symbolic.types import dtype_name


@routine("draw")
def _draw(unit, call):
    node = call.node
    state, *parameters = [unit.pointer(b) for b in call.operands]
    values, after, *kept = map(unit.pointer, call.results)
    generator = bits_of(node.args[0].type).lower()
    sampler = unit.routine(f"{generator}_{node.attr('sampler')}_{dtype_name(node.attr('dtype'))}")
    sizes = ", ".join(str(b.size) for b in call.operands[1:]) or "0"
    rows = []
    for k, place in enumerate(kept):  # what is kept is changed in its new place
        rows.append(f"if ((void *){place} != (void *){parameters[k]}) memcpy({place}, {parameters[k]}, 16);")
        parameters[k] = place
    return [
        *rows,
        f"const void *const p[] = {{{', '.join(parameters) or '0'}}};",
        f"const int64_t size[] = {{{sizes}}};",
        f"{sampler}({state}, {after}, {values}, {call.results[0].size}, p, size);",
    ]


assert randoms.is_name("philox_random_f64"), "the samplers are known by being imported"
