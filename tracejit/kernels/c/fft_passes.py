"""The innermost loops of Fourier transforms as C text: one pass per radix, and the transposition of a register block.

A pass of Stockham's algorithm (Van Loan 1992, "Computational Frameworks for the Fast Fourier Transform", section 1.7)
of radix r over m transforms and s columns takes x[q + s*(p + m*k)], k < r, to y[q + s*(r*p + k)] times the k-th power
of the p-th root of order r*m. Columns lie side by side in memory, so that all arithmetic is on whole vectors.
"""

import math

#: Radices with straight-line code; other small primes take a loop.
RADICES = (2, 3, 4, 5, 7, 8)


def _constant(value):
    return f"(REAL){value!r}"


class _Code:
    """Straight-line code in single assignments."""

    def __init__(self):
        self.lines, self.count = [], 0

    def put(self, text):
        name = f"v{self.count}"
        self.count += 1
        self.lines.append(f"const VEC {name} = {text};")
        return name

    def add(self, a, b):
        return self.put(f"{a[0]} + {b[0]}"), self.put(f"{a[1]} + {b[1]}")

    def sub(self, a, b):
        return self.put(f"{a[0]} - {b[0]}"), self.put(f"{a[1]} - {b[1]}")

    def dft(self, a):
        """Return the forward transform of a list of pairs of names."""
        n = len(a)
        if n == 1:
            return a
        if n == 2:
            return [self.add(*a), self.sub(*a)]
        if n == 4:
            return self._four(*a)
        if n == 8:
            return self._eight(a)
        return self._odd(a)

    def _four(self, a, b, c, d):
        s, t, u, v = self.add(a, c), self.sub(a, c), self.add(b, d), self.sub(b, d)
        return [self.add(s, u), (self.put(f"{t[0]} + {v[1]}"), self.put(f"{t[1]} - {v[0]}")), self.sub(s, u),
                (self.put(f"{t[0]} - {v[1]}"), self.put(f"{t[1]} + {v[0]}"))]

    def _eight(self, a):
        even, odd = self._four(*a[::2]), self._four(*a[1::2])
        h = _constant(math.sqrt(0.5))
        (x, y), (z, w) = odd[1], odd[3]
        turned = [
            odd[0],
            (self.put(f"{h} * ({x} + {y})"), self.put(f"{h} * ({y} - {x})")),
            None,
            (self.put(f"{h} * ({w} - {z})"), self.put(f"{h} * ({z} + {w})")),
        ]
        first, last = [], []
        for k in range(4):
            if k == 2:  # times -i
                r, i = odd[2]
                first.append((self.put(f"{even[2][0]} + {i}"), self.put(f"{even[2][1]} - {r}")))
                last.append((self.put(f"{even[2][0]} - {i}"), self.put(f"{even[2][1]} + {r}")))
            elif k == 3:  # what is in `turned` is (re, -im)
                r, i = turned[3]
                first.append((self.put(f"{even[3][0]} + {r}"), self.put(f"{even[3][1]} - {i}")))
                last.append((self.put(f"{even[3][0]} - {r}"), self.put(f"{even[3][1]} + {i}")))
            else:
                first.append(self.add(even[k], turned[k]))
                last.append(self.sub(even[k], turned[k]))
        return first + last

    def _odd(self, a):
        n = len(a)
        half = n // 2
        sums = [self.add(a[j], a[n - j]) for j in range(1, half + 1)]
        gaps = [self.sub(a[j], a[n - j]) for j in range(1, half + 1)]
        out = [None] * n
        out[0] = tuple(self.put(" + ".join([a[0][c], *(s[c] for s in sums)])) for c in (0, 1))
        for k in range(1, half + 1):
            u, v = [], []
            for c in (0, 1):
                cosines = [f"{_constant(math.cos(2 * math.pi * (j * k % n) / n))} * {sums[j - 1][c]}"
                           for j in range(1, half + 1)]
                sines = [f"{_constant(math.sin(2 * math.pi * (j * k % n) / n))} * {gaps[j - 1][c]}"
                         for j in range(1, half + 1)]
                u.append(self.put(" + ".join([a[0][c], *cosines])))
                v.append(self.put(" + ".join(sines)))
            out[k] = self.put(f"{u[0]} + {v[1]}"), self.put(f"{u[1]} - {v[0]}")
            out[n - k] = self.put(f"{u[0]} - {v[1]}"), self.put(f"{u[1]} + {v[0]}")
        return out


def _lines(lines, depth):
    return "\n".join("  " * depth + line for line in lines)


def _first_or_middle(radix, paired):
    """A pass with powers of roots; `paired` reads complex numbers, else real and imaginary parts apart."""
    code = _Code()
    loads, a = [], []
    for k in range(radix):
        if paired:
            loads.append(f"VEC r{k}, i{k}; S(load2)(xr + 2 * ((p + m * {k}) * xld + q), &r{k}, &i{k});")
            loads.append(f"i{k} *= sign;")
        else:
            loads.append(f"const VEC r{k} = LOAD(xr + (p + m * {k}) * xld + q), "
                         f"i{k} = LOAD(xi + (p + m * {k}) * xld + q);")
        a.append((f"r{k}", f"i{k}"))
    out = code.dft(a)
    stores = [f"STORE(yr + (p * {radix}) * s + q, {out[0][0]}); STORE(yi + (p * {radix}) * s + q, {out[0][1]});"]
    for k in range(1, radix):
        r, i = out[k]
        stores.append(f"STORE(yr + (p * {radix} + {k}) * s + q, {r} * w{k}r - {i} * w{k}i);")
        stores.append(f"STORE(yi + (p * {radix} + {k}) * s + q, {r} * w{k}i + {i} * w{k}r);")
    roots = [f"const VEC w{k}r = SPLAT(w[{2 * k - 2}]), w{k}i = SPLAT(w[{2 * k - 1}]);" for k in range(1, radix)]
    name = f"{'first' if paired else 'middle'}{radix}"
    return f"""static void S({name})(int64_t m, int64_t s, const REAL *xr, const REAL *xi, int64_t xld, REAL sign,
    REAL *TJ_RESTRICT yr, REAL *TJ_RESTRICT yi, const REAL *w) {{
  for (int64_t p = 0; p < m; p++, w += {2 * radix - 2}) {{
{_lines(roots, 2)}
    for (int64_t c = 0; c < s; c += V) {{
      const int64_t q = c + V > s ? s - V : c;
{_lines(loads, 3)}
{_lines(code.lines, 3)}
{_lines(stores, 3)}
    }}
  }}
}}
"""


def _last(radix, paired):
    """The pass that ends with one transform per column; it scales, and writes row k*groups + j with `width` columns."""
    code = _Code()
    loads = [f"const VEC r{k} = LOAD(xr + {k} * s + from), i{k} = LOAD(xi + {k} * s + from);" for k in range(radix)]
    out = code.dft([(f"r{k}", f"i{k}") for k in range(radix)])
    stores = []
    for k, (r, i) in enumerate(out):
        place = f"({k} * groups + j) * yld + q"
        stores.append(f"S(store2)(yr + 2 * ({place}), {r} * scale, {i} * scale_i);" if paired else
                      f"STORE(yr + {place}, {r} * scale); STORE(yi + {place}, {i} * scale_i);")
    return f"""static void S(last{'' if paired else '_apart'}{radix})(int64_t groups, int64_t width, const REAL *xr,
    const REAL *xi, REAL scale, REAL scale_i, REAL *TJ_RESTRICT yr, REAL *TJ_RESTRICT yi, int64_t yld) {{
  const int64_t s = groups * width;
  for (int64_t j = 0; j < groups; j++)
    for (int64_t c = 0; c < width; c += V) {{
      const int64_t q = c + V > width ? width - V : c, from = j * width + q;
{_lines(loads, 3)}
{_lines(code.lines, 3)}
{_lines(stores, 3)}
    }}
}}
"""


def _row_first(radix):
    """The first pass over one row: as many places at once as a vector has elements, which come out as columns."""
    code = _Code()
    loads = [f"VEC r{k}, i{k}; S(load2)(x + 2 * (p + m * {k}), &r{k}, &i{k}); i{k} *= sign;" for k in range(radix)]
    out = code.dft([(f"r{k}", f"i{k}") for k in range(radix)])
    turned = [f"VEC a[V], b[V]; a[0] = {out[0][0]}; b[0] = {out[0][1]};"]
    for k in range(1, radix):
        r, i = out[k]
        turned.append(f"{{ const VEC wr = LOAD(w + {2 * k - 2} * V), wi = LOAD(w + {2 * k - 1} * V); "
                      f"a[{k}] = {r} * wr - {i} * wi; b[{k}] = {r} * wi + {i} * wr; }}")
    return f"""#if V == {radix}
static void S(row_first)(int64_t m, const REAL *x, REAL sign, REAL *TJ_RESTRICT yr, REAL *TJ_RESTRICT yi,
    const REAL *w) {{
  for (int64_t c = 0; c < m; c += V, w += (2 * V - 2) * V) {{
    const int64_t p = c + V > m ? m - V : c;
{_lines(loads, 2)}
{_lines(code.lines, 2)}
{_lines(turned, 2)}
    S(turn)(a);
    S(turn)(b);
    for (int k = 0; k < V; k++) {{ STORE(yr + (p + k) * V, a[k]); STORE(yi + (p + k) * V, b[k]); }}
  }}
}}
#endif
"""


def _shuffle(a, b, places):
    return f"SHUFFLE{len(places)}({a}, {b}, {', '.join(map(str, places))})"


def _turn(size):
    """The transposition of a square block of vectors, and loads and stores of complex numbers."""
    lines, names, count = [], [f"a[{k}]" for k in range(size)], 0
    distance = 1
    while distance < size:
        out = list(names)
        for i in range(size):
            if not i & distance:
                low = [size + j - distance if j & distance else j for j in range(size)]
                high = [size + j if j & distance else j + distance for j in range(size)]
                pair = names[i], names[i + distance]
                lines += [f"const VEC t{count} = {_shuffle(*pair, low)};",
                          f"const VEC t{count + 1} = {_shuffle(*pair, high)};"]
                out[i], out[i + distance] = f"t{count}", f"t{count + 1}"
                count += 2
        names = out
        distance *= 2
    lines += [f"a[{k}] = {name};" for k, name in enumerate(names)]
    even, odd = range(0, 2 * size, 2), range(1, 2 * size, 2)
    low = [k // 2 + (size if k % 2 else 0) for k in range(size)]
    high = [size // 2 + k // 2 + (size if k % 2 else 0) for k in range(size)]
    return f"""#if V == {size}
TJ_INLINE void S(turn)(VEC *a) {{
{_lines(lines, 1)}
}}
TJ_INLINE void S(load2)(const REAL *x, VEC *r, VEC *i) {{
  const VEC a = LOAD(x), b = LOAD(x + V);
  *r = {_shuffle("a", "b", even)};
  *i = {_shuffle("a", "b", odd)};
}}
TJ_INLINE void S(store2)(REAL *x, VEC r, VEC i) {{
  STORE(x, ({_shuffle("r", "i", low)}));
  STORE(x + V, ({_shuffle("r", "i", high)}));
}}
TJ_INLINE VEC S(reversed)(VEC a) {{ return {_shuffle("a", "a", range(size - 1, -1, -1))}; }}
#endif
"""


def _chosen(name, arguments):
    """A function that calls the pass of a radix."""
    cases = " ".join(f"case {r}: S({name}{r})({arguments}); return;" for r in RADICES)
    return f"switch (radix) {{ {cases} }}"


def text():
    """Return the C text, over the macros REAL, VEC, V and S."""
    parts = [_turn(size) for size in (2, 4, 8)]
    for radix in RADICES:
        parts += [_first_or_middle(radix, True), _first_or_middle(radix, False), _last(radix, True),
                  _last(radix, False)]
    parts += [_row_first(size) for size in (2, 4, 8)]
    arguments = ("int64_t m, int64_t s, const REAL *xr, const REAL *xi, int64_t xld, REAL sign, REAL *yr, REAL *yi, "
                 "const REAL *w")
    parts.append(f"static void S(first)(int radix, {arguments}) {{ "
                 + _chosen("first", "m, s, xr, xi, xld, sign, yr, yi, w") + " }\n")
    parts.append(f"static void S(middle)(int radix, {arguments}) {{ "
                 + _chosen("middle", "m, s, xr, xi, xld, sign, yr, yi, w") + " }\n")
    arguments = ("int64_t groups, int64_t width, const REAL *xr, const REAL *xi, REAL scale, REAL scale_i, REAL *yr, "
                 "REAL *yi, int64_t yld")
    for suffix in ("", "_apart"):
        parts.append(f"static void S(last{suffix})(int radix, {arguments}) {{ "
                     + _chosen(f"last{suffix}", "groups, width, xr, xi, scale, scale_i, yr, yi, yld") + " }\n")
    return "\n".join(parts)
