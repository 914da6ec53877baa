"""Guards: what a trace takes from the actual inputs of its call, and the variants that come of it."""

import pickle
import threading

import numpy as np
import pytest
from executables import Program, array, program, type_
from tracing import mark

import tracejit
from tracejit import config, dispatch, dispatch_python, jit, tree
from tracejit.errors import ConcretizationError, RetraceWarning
from tracejit.symbolic.interp import evaluate
from tracejit.trace.guards import Undecided, guarded_int
from tracejit.trace.staging import stage

V = np.array([3.0, -1.0, 2.0, 5.0])


def made(text, **names):
    """Return the function of this text, which has no source to be found."""
    world = {"np": np, "__name__": "made", **names}
    exec(text, world)
    return next(v for k, v in reversed(world.items()) if callable(v) and getattr(v, "__module__", "") == "made")


def guarded(f, *args):
    """Trace with actual inputs."""
    return stage(f, tree.map(mark, args), {}, values=[x for x in tree.leaves(args) if mark(x) is not x])


# ---------------------------------------------------------------- what a trace records
def test_a_trace_goes_on_along_the_branch_of_its_inputs():
    f = made("""
def f(x):
    y = x * 2
    return y + 1 if y.sum() > 0 else y - 1
""")
    for x in (V, -V):
        traced = guarded(f, x)
        (graph, (fact,)), = traced.guards
        assert bool(fact.value) is bool(x.sum() > 0) and fact.where == "<string>:4" and "truth" in str(fact)
        assert bool(evaluate(graph, x)[0]) == (x.sum() > 0) and graph.params == traced.graph.params
        np.testing.assert_array_equal(evaluate(traced.graph, x)[0], f(x))


def test_sizes_out_of_data():
    def f(x):
        n = guarded_int((x > 0).sum(), "the number of positive elements")
        return np.zeros(n) + x.sum(), range(int(x[0].astype(int)))[n - 1]
    traced = guarded(f, V)
    assert [int(fact.value) for _, facts in traced.guards for fact in facts] == [3, 3]
    assert traced.graph.out_types[0].shape == (3,)


def test_a_question_is_asked_once():
    traced = guarded(made("f = lambda x: [x[0] for _ in range(5) if x.sum() > 0]"), V)
    assert len(traced.guards) == 1 and len(traced.guards[0][1]) == 1


def test_a_captured_array_decides():
    w = np.arange(3)
    traced = guarded(lambda x: [x.sum()] * w[2], V)
    assert traced.captures[0] is w and traced.out_tree.num_leaves == 2 and len(traced.guards) == 1


def test_without_inputs_there_is_no_guard():
    f = made("f = lambda x: x if x[0] > 0 else -x")
    with pytest.raises(ConcretizationError):
        stage(f, (mark(V),), {})
    with pytest.raises(ConcretizationError):
        stage(f, (mark(V),), {}, values=[None])


def test_large_contents_are_no_facts():
    with pytest.raises(ConcretizationError):
        guarded(lambda x: x.tobytes(), np.ones(1000))


def test_an_error_on_the_way_ends_the_trace():
    with pytest.raises(Undecided):
        guarded(made("f = lambda x, i: x if x[i][0] > 0 else -x"), V, np.array([4]))


# ---------------------------------------------------------------- calls
def info(f):
    return f.cache_info()


BRANCHES = made("""
def f(x):
    if x.sum() > 0:
        return np.sqrt(np.abs(x)), "up"
    elif x[0] < -2:
        return x[::-1] - 1, "down"
    return x[:2] * 2, "else"
""")
INPUTS = {"up": V, "down": -V, "else": np.array([1.0, -5, 1, 1])}


def agree(got, expected):
    assert type(got) is type(expected)
    if isinstance(expected, (tuple, list)):
        for g, e in zip(got, expected, strict=True):
            agree(g, e)
    elif isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    else:
        assert got == expected


def test_branches_alternate_over_calls():
    f = jit(BRANCHES)
    for _ in range(4):
        for x in INPUTS.values():
            agree(f(x), BRANCHES(x))
    found = info(f)
    assert (found.traces, found.hits, found.misses, found.plain) == (3, 9, 3, 0)
    assert len(found.variants) == 3 and all(v.startswith("f64[4]: <string>:3: the truth value is ")
                                            for v in found.variants)
    assert sum("<string>:5" in v for v in found.variants) == 2
    assert f.trace(V).guards == ("<string>:3: the truth value is True",)
    f.clear_cache()
    assert info(f).variants == ()


@pytest.mark.parametrize("backend", ["ref", "numba"])
def test_other_backends(backend):
    f = jit(BRANCHES, backend=backend)
    for _ in range(2):
        for x in INPUTS.values():
            agree(f(x), BRANCHES(x))
    assert info(f).traces == 3 and info(f).hits == 3


def test_an_integer_that_decides_a_size():
    plain = made("""
def f(x, k):
    return [k * np.zeros(int(x.sum())), np.arange(x[1]), range(x[0]), (1, 2) * x[1]]
""")
    f = jit(plain)
    for x in ([2, 1], [3, 4], [2, 1], [2, 0]):
        for k in (1.0, 2.0):
            agree(f(np.array(x), k), plain(np.array(x), k))
    assert info(f).traces == 3 and info(f).hits == 5


def test_python_numbers_decide_by_what_they_say():
    plain = made("""
def f(x, rate, n):
    y = -x if rate > 0.5 else x
    return [y] * n
""")
    f = jit(plain)
    for rate in (0.1, 0.2, 0.7, 0.9):
        agree(f(V, rate, 2), plain(V, rate, 2))
    assert info(f).traces == 2
    agree(f(V, 0.3, 3), plain(V, 0.3, 3))
    assert info(f).traces == 3


def test_a_number_that_is_asked_again_and_again_becomes_static():
    plain = made("""
def f(x, n):
    while n > 0:
        x, n = x + n, n - 1
    return x
""")
    f = jit(plain)
    for n in (3, 40, 3, 40, 5):
        agree(f(V, n), plain(V, n))
    assert info(f).plain == 0


def test_beyond_the_limit_numpy_does_the_call():
    plain = made("""
def f(x):
    x += 1
    return [x[1]] * int(x[0])
""")
    f = jit(plain)
    with config.context(variants=3):
        for n in range(3):
            agree(f(np.full(2, float(n))), plain(np.full(2, float(n))))
        with pytest.warns(RetraceWarning, match="f has 3 variants .*number of repetitions .<string>:4"):
            x = np.full(2, 7.0)
            assert f(x) == [8.0] * 8 and x[0] == 8
        for n in (9, 1, 12, 2):
            x = np.full(2, float(n))
            assert len(f(x)) == n + 1 and x[0] == n + 1
    found = info(f)
    assert (found.traces, len(found.variants), found.plain, found.hits) == (3, 3, 3, 2)
    assert len(f(np.full(2, 20.0))) == 21  # the limit is higher again
    assert info(f).traces == 4


def test_no_variants_at_all():
    f = jit(BRANCHES)
    with config.context(variants=0), pytest.raises(ConcretizationError):
        f(V)


def test_a_wrong_variant_has_no_effect():
    plain = made("""
def f(x, i, w):
    if w[0] > 0:
        w[...] = x[i]
        x[0] = 7
        return w
    w[1] = 5
""")
    f = jit(plain)
    for i, sign in ((2, 1), (2, -1), (9, -1), (3, 1), (9, -1)):
        args, others = ([np.arange(4.0), np.array([i]), np.array([sign, 2.0])] for _ in range(2))
        agree(f(*args), plain(*others))
        agree(args, others)
    assert info(f).traces == 2
    x, w = np.arange(4.0), np.array([1.0, 2.0])
    with pytest.raises(IndexError):
        f(x, np.array([9]), w)
    assert w[0] == 1 and x[0] == 0
    w = np.array([-1.0, 2.0])
    w.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        f(x, np.array([1]), w)


def test_an_array_that_cannot_be_written_is_no_matter_where_it_is_not():
    plain = made("""
def f(x):
    if x[0] > 0:
        x[0] = -1
    return x * 2
""")
    f = jit(plain)
    f(np.ones(3))
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    agree(f(frozen), np.zeros(3))


def test_errors_before_a_choice_are_numpys():
    plain = made("""
def f(x, i):
    if x[i].sum() > 0:
        return x
    return -x
""")
    f = jit(plain)
    for i, error in ((1, None), (9, IndexError), (1, None)):
        i = np.array([i])
        if error:
            with pytest.raises(error):
                f(V, i)
        else:
            agree(f(V, i), plain(V, i))
    with pytest.raises(IndexError):
        jit(plain)(V, np.array([9]))
    assert info(f).hits == 1


def test_a_handler_around_a_choice_is_the_users():
    plain = made("""
def f(x, i):
    try:
        if x[i][0] > 0:
            return x
    except IndexError:
        return x + 100
    return -x
""")
    f = jit(plain)
    for i in (9, 0, 1, 9):
        agree(f(V, np.array([i])), plain(V, np.array([i])))


def test_arrays_from_outside_decide():
    w = np.array([1.0, 2.0])
    s = tracejit.shared(np.array(1.0))
    plain = made("""
def f(x):
    y = x + w[0] if w.sum() > 0 else x - w[0]
    s[...] = s - 1
    return y * 2 if s > -1 else y
""", w=w, s=s)
    f = jit(plain)
    results = []
    for total in (1, -1, 1, -1):
        w[1] = total * 5
        results.append(f(V))
    assert s.get_value() == -3
    for got, (a, b) in zip(results, [(1, 2), (-1, 1), (1, 1), (-1, 1)]):
        agree(got, (V + a) * b if b == 2 else V + a)
    assert info(f).traces == 3 and info(f).hits == 1 and info(f).plain == 0


class Model:
    def __init__(self):
        self.w = np.array([1.0, -1.0])

    step = jit(made("""
def step(self, x):
    if self.w[0] > 0:
        self.w[0] -= 1
        return x
    return x * self.w[1]
"""))


def test_methods_and_what_they_write():
    a, b = Model(), Model()
    b.w[0] = 2
    got = [m.step(V)[0] for m in (a, a, b, b, b, a)]
    assert got == [3, -3, 3, 3, -3, -3] and a.w[0] == b.w[0] == 0


def test_transposed_overlapping_and_donated_arguments():
    f = jit(BRANCHES, donate_argnums=0)
    for x in INPUTS.values():
        wide = np.zeros((4, 3))
        wide[:, 1] = x
        agree(f(wide[:, 1]), BRANCHES(x))
        agree(f(x.astype(">f8")), BRANCHES(x))
    plain = made("""
def f(x, y):
    x[0] = 3
    return y[1] + 1 if y.max() > 2 else y[1]
""")
    g = jit(plain)
    for _ in range(3):
        a, b = np.zeros(5), np.zeros(5)
        agree(g(a[:3], a[:3][::-1]), plain(b[:3], b[:3][::-1]))
        agree(a, b)
        agree(g(np.zeros(3), np.ones(3)), plain(np.zeros(3), np.ones(3)))


def test_a_state_of_floats_that_decides_is_left_to_numpy():
    plain = made("""
def f(x):
    return "%.6f" % x.sum()
""")
    f = jit(plain)
    rng = np.random.default_rng(0)
    with pytest.warns(RetraceWarning):
        for _ in range(12):
            x = rng.normal(size=1000)
            assert f(x) == plain(x)
    assert info(f).plain == 10 and info(f).traces == 2


def test_a_choice_inside_a_derivative():
    f = jit(lambda x: tracejit.grad(CHOICE)(x))
    for x in (V, -V, V):
        agree(f(x), np.full(4, 2.0) if x[0] > 0 else 2 * x)
    assert info(f).traces == 2


CHOICE = made("""
def f(x):
    if x[0] > 0:
        return x.sum() * 2
    return (x * x).sum()
""")


def test_threads_take_their_own_variants():
    f = jit(BRANCHES)
    wrong = []

    def work(k):
        rng = np.random.default_rng(k)
        for _ in range(300):
            name = list(INPUTS)[rng.integers(3)]
            if f(INPUTS[name])[1] != name:
                wrong.append(name)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and info(f).traces == 3 and info(f).hits + info(f).misses == 1800


def test_signatures_have_variants_of_their_own():
    f = jit(BRANCHES)
    for x in INPUTS.values():
        f(x), f(x.astype("f4"))
    assert sorted(v[:3] for v in info(f).variants) == ["f32"] * 3 + ["f64"] * 3


def test_a_pickled_function_guards_again():
    f = pickle.loads(pickle.dumps(BRANCH))
    assert BRANCH(V)[1] == f(V)[1] == "up" and f(-V)[1] == "down" and info(f).traces == 2


def branch(x):
    return (x, "up") if bool(np.asarray(x).sum() > 0) else (x, "down")


BRANCH = jit(branch)


def test_a_function_of_a_world_without_a_name():
    world = {"np": np}
    exec("def f(x):\n    y = np.zeros(2)\n    y[0] = x[0]\n    return y if x[1] > 0 else -y", world)
    f = jit(world["f"])
    for x in (V, -V, V + 1, 1 - V):
        agree(f(x), world["f"](x))
    assert info(f).traces == 2 and info(f).signatures[0] == "f64[4]"


def test_a_choice_behind_a_loop():
    def plain(x):
        total = 0.0
        for i in range(len(x)):
            total += x[i] * i
        return [total] * int(total), x[:int(total) % 3] * 2
    f = jit(plain)
    for x in (np.ones(12), np.full(12, 0.1), np.ones(12), np.full(12, 0.5)):
        got, want = f(x), plain(x)
        assert len(got[0]) == len(want[0])
        np.testing.assert_allclose(got[0], want[0])
        np.testing.assert_allclose(got[1], want[1])
    assert info(f).plain == 0


def test_sides_of_other_shapes():
    def plain(x):
        if x.sum() > 0:
            return x[:1], 1
        return x * 2
    f = jit(plain)
    for x in (V, -V, V, -V):
        agree(f(x), plain(x))
    assert info(f).traces == 2 and info(f).plain == 0


@pytest.mark.parametrize("module", [dispatch.compiled, dispatch_python], ids=["compiled", "python"])
def test_the_dispatchers_ask(module):
    types = (type_("f8", 2),)
    asked = []

    def ask(inputs, outputs):
        asked.append(1)
        if inputs[0][0] > 5:
            raise ValueError("too large")
        outputs[0][...] = inputs[0][0] > 0
        return (1, ()) if inputs[0][0] < -5 else (0, ())
    question = Program(0, types, (type_("?"),), call=ask)
    later = program("*(int64_t *)bufs[1] = ((double *)bufs[0])[1];", types, (type_("i8"),))

    def code(k):
        return program(f"*(double *)bufs[1] = {k};", types, (type_("f8"),))

    def entry(k, *guards):
        return module.Entry((array("f8", 2),), (), code(k), (("out", 0, True),), None, (), config.key(), guards=guards)
    d = module.Dispatcher(lambda args, kwargs: "slow")
    yes, no = np.array(True), np.array(False)
    d.add(entry(1, (question, (yes,)), (later, (np.array(1),))))
    d.add(entry(2, (question, (yes,)), (later, (np.array(2),))))
    d.add(entry(3, (question, (no,))))
    found = [d(np.array(x, float)) for x in ((1, 1), (1, 2), (-1, 2), (1, 3), (9, 1), (-9, 1))]
    assert found == [1, 2, 3, "slow", "slow", "slow"] and len(asked) == 6
    assert (d.hits, d.misses) == (3, 3) and d.entries[0].guards[0][0] is question
    for wrong in ((question,), (question, ()), (question, (np.array(1),)), (code(1), (np.zeros(2),)),
                  (program("", (), (type_("?"),)), (yes,))):
        with pytest.raises((ValueError, TypeError)):
            entry(1, wrong)


def test_an_error_that_another_memory_order_would_not_have():
    def f(z, e):
        if z.strides[0] > 0:
            e += 0.5
        return e
    jitted = tracejit.jit(f)
    np.testing.assert_array_equal(jitted(np.ones(3)[::-1], np.arange(3)), np.arange(3))
    with pytest.raises(TypeError):
        jitted(np.ones(3), np.arange(3))
