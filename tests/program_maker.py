"""Random NumPy programs as text: 5 to 60 statements with reuse, views, writes, mixed dtypes, loops and branches.

Every value a program computes is a small multiple of 1/8, so that whatever the order of additions is, the answer is
exact, and a comparison takes the same way; what would not be (or would raise, or warn) is not put into a program.
"""

import linecache
import random
import re
import warnings

import numpy as np

DTYPES = ("float64", "float64", "float32", "int64", "int32", "uint8", "bool", "complex128")

EXPRESSIONS = (
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} + {n}", "{n} - {a}", "{a} * {n}", "-{a}", "abs({a})", "{a} > {b}",
    "{a} <= {n}", "{a} == {b}", "{a} != {n}", "{a} // {n}", "{a} % {n}", "{a} & {b}", "{a} | {b}", "{a} ** 2",
    "np.maximum({a}, {b})", "np.minimum({a}, {n})", "np.where({a} > {n}, {b}, {c})", "np.clip({a}, -3, 5)",
    "np.floor({a})", "np.rint({a})", "np.sign({a})", "np.square({a})", "np.logical_not({a})", "np.isfinite({a})",
    "{a}.astype(np.{d})", "{a}.copy()", "np.zeros_like({a})", "np.full_like({a}, 3)", "np.real({a})", "np.conj({a})",
    # views
    "{a}[1:]", "{a}[::-1]", "{a}[..., 0]", "{a}.T", "{a}[:, None]", "{a}[None]", "{a}[0]", "{a}[-1]", "{a}[:2]",
    "{a}[1::2]", "{a}[:, 1:]", "{a}[:, ::-2]", "{a}.reshape(-1)", "{a}.ravel()", "{a}.swapaxes(0, 1)",
    "{a}.squeeze()", "np.broadcast_to({a}, (3, 4))", "{a}.reshape(2, -1)", "np.expand_dims({a}, 0)", "{a}.real",
    # reductions and scans
    "{a}.sum()", "{a}.sum(axis=0)", "{a}.sum(-1, keepdims=True)", "{a}.max()", "{a}.min(axis=-1)", "{a}.any()",
    "{a}.all(axis=0)", "np.cumsum({a}, axis=-1)", "{a}.argmax()", "{a}.argmin(axis=0)", "np.count_nonzero({a})",
    "np.maximum.accumulate({a})", "np.add.reduce({a}, axis=0)", "np.ptp({a})",
    # structure
    "np.concatenate([{a}, {b}])", "np.stack([{a}, {b}])", "np.roll({a}, 1)", "np.roll({a}, -2, axis=0)",
    "np.flip({a})", "np.sort({a})", "np.sort({a}, axis=0)", "np.argsort({a}, kind='stable')", "np.tile({a}, 2)",
    "np.repeat({a}, 2, axis=0)", "np.diff({a})", "np.outer({a}, {b})", "{a} @ {b}", "np.dot({a}, {b})", "np.tril({a})",
    "np.pad({a}, 1)", "np.take({a}, [0, 1, 0])", "{a}[[1, 0]]", "{a}[np.array([0, -1])]", "np.array([{s}, {n}])",
    "np.arange({m}) + {s}", "np.eye(3) * {s}", "np.atleast_2d({a})", "np.hstack([{a}, {a}])",
    "{a}[{a} > {n}]", "np.nonzero({a})[0]", "np.unique({a})", "np.add.outer({a}, {b})", "np.einsum('ij->ji', {a})",
    "{a}[{i}]", "{a}[{i}] + {a}[-{i} - 1]", "np.searchsorted(np.sort({a}), {b})",
)
SCALARS = ("{a}.ravel()[0]", "{a}.ravel()[{i}]", "{a}.sum()", "{s} + 1", "{s} - {n}", "{s} * 2", "int({a}.max())",
           "float({a}.min())", "len({a})", "{a}.shape[0]", "{a}.size", "min({s}, {n})",
           "max({s}, {a}.real.max())", "{m}")
WRITES = (
    "{a}[0] = {b}", "{a}[1:] = {b}", "{a} += {b}", "{a} -= {n}", "{a} *= {n}", "{a}[1:] -= {n}", "{a}[:-1] += {a}[1:]",
    "{a}[{a} > {n}] = {n}", "{a}[{a} < {n}] += 1", "{a}[[0, 1]] = {b}", "np.add.at({a}, [0, 0], {n})", "{a}.fill({n})",
    "{a}.sort()", "{a}[...] = {b}", "{a}.T[0] = {n}", "np.add({a}, {b}, out={a})", "{a}[::2] = {n}",
    "{a}[0], {a}[1] = {a}[1], {a}[0]", "{a}[{i}] = {s}", "{a}[{i}] += {n}", "{a}.ravel()[1:] += 1",
    "np.maximum({a}, {b}, out={a}, where={a} > {n})", "{a}[:, 0] = {b}", "np.copyto({a}, {b}, where={a} > 0)",
)
CONDITIONS = ("{s} > {n}", "{a}.sum() > {n}", "{a}.any()", "{s} % 2 == 0", "{n} < {s} <= 9", "not {a}.all()",
              "{s} > {n} and {a}.size > 2", "{a}.ravel()[0] < {s} or {s} == {n}")
LOOPS = ("for k{j} in range({r}):", "for k{j} in range({m}):", "for k{j}, e{j} in enumerate({a}):",
         "for e{j} in {a}:", "for k{j} in range({r}, 0, -1):", "while t{j} < {r}:")


class Maker:
    """Makes one program; every prefix of it has run."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.seed = seed
        self.arguments = self._arguments(seed)
        self.lines = []
        self.names = self.run()

    def _arguments(self, seed):
        rng = np.random.default_rng(seed)
        shapes = [(3, 4), (4,), (3, 4), (2, 3, 4)]
        kinds = random.Random(seed).choices(DTYPES, k=len(shapes))
        arrays = [exact(rng, s, d) for s, d in zip(shapes, kinds)]
        return dict(zip("xyzw", arrays), m=int(rng.integers(2, 7)), s=float(rng.integers(-4, 5)))

    def fresh(self, other=0):
        """Return arguments of the same types: copies of the first ones, or others."""
        if other == 0:
            return {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in self.arguments.items()}
        rng = np.random.default_rng([self.seed, other])
        made = {k: exact(rng, v.shape, v.dtype.name) if isinstance(v, np.ndarray) else v
                for k, v in self.arguments.items()}
        return {**made, "s": float(rng.integers(-4, 5))}

    def source(self, lines=None):
        """Return the program's text; it returns all of its variables."""
        lines = self.lines if lines is None else lines
        names = dict.fromkeys(re.findall(r"^(v\d+) = ", "\n".join(lines), re.M))
        result = "".join(f"{name!r}: {name}, " for name in (*names, "s"))
        return "\n".join(["def program(x, y, z, w, m, s):", *("    " + line for line in lines),
                          f"    return {{{result[:-2]}}}", ""])

    def run(self, lines=None, other=0):
        """Return the variables after the program, or None where it raises, warns or leaves what is exact."""
        space = {"np": np}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                exec(self.source(lines), space)
                names = self.fresh(other)
                names |= space["program"](**names)
            except Exception:
                return None
        return names if all(map(is_exact, names.values())) else None

    def make(self, count):
        """Add statements until there are `count`."""
        tries = 0
        while sum(len(s) for s in self.lines_of()) < count and tries < 40 * count:
            tries += 1
            new = self._statement()
            names = self.run(self.lines + new)
            if names is not None:
                self.lines += new
                self.names = names
        return self

    def lines_of(self):
        """Return the statements, each as the list of its lines."""
        out = []
        for line in self.lines:
            if line.startswith(" ") or line in ("else:",):
                out[-1].append(line)
            else:
                out.append([line])
        return out

    def _statement(self):
        draw = self.random.random()
        if draw < 0.12:
            return self._loop()
        if draw < 0.2:
            return self._branch()
        return [self._simple()]

    def _simple(self, inside=False):
        draw = self.random.random()
        if draw < 0.3:
            return self._filled(self.random.choice(WRITES))
        variables = [v for v in self.names if v[0] == "v"]
        if draw < 0.45:
            # Python's own number of one type, whatever the way: which of two types it has may not depend on the data
            return f"s = float({self._filled(self.random.choice(SCALARS))})"
        new = inside or len(variables) > 8 or (variables and self.random.random() < 0.2)
        target = self.random.choice(variables) if new and variables else f"v{len(variables)}"
        return f"{target} = {self._filled(self.random.choice(EXPRESSIONS))}"

    def _loop(self):
        head = self._filled(self.random.choice(LOOPS))
        j = len(self.lines)
        head = head.replace("{j}", str(j))
        body = [self._simple(True).replace("[i]", f"[k{j} % 2]" if "k" in head else "[0]")
                for _ in range(self.random.randint(1, 3))]
        if self.random.random() < 0.3:
            body.append(f"if {self._filled(self.random.choice(CONDITIONS))}:")
            body.append("    " + self.random.choice(("break", "continue", self._simple(True))))
            body.append(self._simple(True))
        before = []
        if head.startswith("while"):
            before, body = [f"t{j} = 0"], [f"t{j} += 1", *body]
        return [*before, head, *("    " + line for line in body)]

    def _branch(self):
        lines = [f"if {self._filled(self.random.choice(CONDITIONS))}:", "    " + self._simple(True)]
        if self.random.random() < 0.6:
            lines += ["else:", "    " + self._simple(True)]
        return lines

    def _filled(self, template):
        pick = self.random.choice
        arrays = [k for k, v in self.names.items() if isinstance(v, np.ndarray)]
        return template.format(a=pick(arrays), b=pick(arrays), c=pick(arrays), d=pick(DTYPES), m="m", s="s", j="{j}",
                               i=pick(("0", "1", "i")) if "[{i}]" in template and "-{i}" not in template else "0",
                               n=pick(("2", "1", "-1", "0.5", "3")), r=pick((2, 3, 12, 30)))


def exact(rng, shape, dtype):
    """Return small numbers."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.startswith(("i", "u")):
        return rng.integers(0 if dtype[0] == "u" else -4, 5, shape).astype(dtype)
    values = rng.integers(-8, 9, shape) / 2
    return (values + 1j * rng.integers(-4, 5, shape) if dtype[0] == "c" else values).astype(dtype)


def is_exact(value):
    """Return whether sums and products of such values are exact in any order."""
    value = np.asarray(value)
    if value.size > 400 or value.dtype.kind not in "biufc" or value.dtype.itemsize < 1:
        return False
    if value.dtype.kind in "bu" or value.size == 0:
        return True
    bound = 2 ** 20 if value.dtype.itemsize >= 8 else 2 ** 10
    parts = [value.real, value.imag] if value.dtype.kind == "c" else [value]
    return all(np.all(np.abs(p) <= bound) and (p.dtype.kind == "i" or np.all(p * 8 == np.floor(p * 8))) for p in parts)


def function(source, name):
    """Return the function of a program's text, which Python finds like that of a file."""
    space = {"np": np}
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), space)
    return space["program"]
