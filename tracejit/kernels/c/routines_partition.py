"""Elements put on their side of those of given ranks: a selection, and then one pass that lays them out."""

from tracejit.kernels.c.routines import around, load, routine
from tracejit.kernels.c.routines_sort import selecting, selection, selection_bytes, sorts_before
from tracejit.kernels.c.spell import memory_type, value_type
from tracejit.kernels.program import SCRATCH


def _partition(unit, call):
    x = call.node.args[0]
    axis, ranks = call.node.attrs
    dtype, kind = x.dtype, value_type(x.dtype)
    before, n, behind = around(x.shape, axis)
    if x.type.size == 0:
        return []
    name, more = selection(unit, dtype)
    count, (out,) = len(ranks), call.results
    element = load(unit, dtype, f"p[at + k * {behind}]")
    put = f"p[at + k * {behind}]" if call.name == "partition" else "k"
    if count == 1:
        layout = [
            f"const {kind} v = {load(unit, dtype, 'found[0]')};",
            "int64_t first = 0, same = 0, last = 0;",
            f"for (int64_t k = 0; k < {n}; k++) {{",
            f"  const {kind} t = {element};",
            f"  same += {_branchless(sorts_before(unit, dtype, 't', 'v'))};",
            f"  last += !({_branchless(sorts_before(unit, dtype, 'v', 't'))});",
            "}",
            f"for (int64_t k = 0; k < {n}; k++) {{",
            f"  const {kind} t = {element};",
            f"  const int under = {_branchless(sorts_before(unit, dtype, 't', 'v'))};",
            f"  const int over = {_branchless(sorts_before(unit, dtype, 'v', 't'))};",
            "  const int64_t place = under ? first : over ? last : same;",
            f"  r[at + place * {behind}] = {put};",
            "  first += under; last += over; same += !(under | over);",
            "}",
        ]
    else:
        group = ["int group = 0;", *[
            f"group += ({_branchless(sorts_before(unit, dtype, f'v{k}', 't'))}) + "
            f"!({_branchless(sorts_before(unit, dtype, 't', f'v{k}'))});" for k in range(count)]]
        layout = [
            *[f"const {kind} v{k} = {load(unit, dtype, f'found[{k}]')};" for k in range(count)],
            f"int64_t place[{2 * count + 1}] = {{0}};",
            f"for (int64_t k = 0; k < {n}; k++) {{ const {kind} t = {element}; {' '.join(group)} place[group]++; }}",
            f"int64_t sum = 0; for (int g = 0; g < {2 * count + 1}; g++) {{ const int64_t m = place[g]; "
            "place[g] = sum; sum += m; }",
            f"for (int64_t k = 0; k < {n}; k++) {{",
            f"  const {kind} t = {element}; {' '.join(group)}",
            f"  r[at + place[group]++ * {behind}] = {put};",
            "}",
        ]
    return [
        f"const {memory_type(dtype)} *TJ_RESTRICT p = {unit.pointer(call.operands[0])};",
        f"{memory_type(out.dtype)} *TJ_RESTRICT r = {unit.pointer(out)};",
        *selecting(unit, call, ranks),
        f"for (int64_t o = 0; o < {before}; o++)",
        f"  for (int64_t i = 0; i < {behind}; i++) {{",
        f"    const int64_t at = o * {n * behind} + i;",
        f"    for (int64_t k = 0; k < {n}; k++) line[k] = p[at + k * {behind}];",
        f"    {name}(line, {n}, work, ranks, {count}, 0, found{more});",
        *("    " + line for line in layout),
        "  }",
    ]


def _branchless(text):
    return text.replace("||", "|").replace("&&", "&")


for _name in ("partition", "argpartition"):
    routine(_name)(_partition)
    SCRATCH[_name] = selection_bytes
