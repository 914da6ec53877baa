"""Every rule is tested because it is registered: both sides of it, against the NumPy oracle."""

import re
from pathlib import Path

import numpy as np
import pytest
from rule_samples import WITHOUT_OVERFLOW, both_sides, example_nodes, moderate, pattern_nodes, special

from tracejit.opt import pipeline  # noqa: F401  fills the registry
from tracejit.opt.rewrite import PHASES, RULES, SAFETY
from tracejit.symbolic.types import Type

BY_NAME = {}
for _rule in RULES.values():
    BY_NAME.setdefault(_rule.name, []).append(_rule)


def firings(name):
    """Return (before, after, safety) for every sample on which a rule fires."""
    found = []
    for rule in BY_NAME[name]:
        for node in [*(pattern_nodes(rule) if rule.lhs is not None else ()), *example_nodes(rule)]:
            if node.op is rule.op and all(any(a.op is op for a in node.args) for op in rule.needs):
                after = rule.apply(node)
                if after is not None and after is not node:
                    found.append((node, after, rule.safety))
    return found


@pytest.mark.parametrize("name", BY_NAME)
def test_rule(name):
    found = firings(name)
    assert found, f"no sample makes {name} fire; give it examples"
    for before, after, safety in found:
        assert after.type is before.type
        if isinstance(before.type, Type):
            check(before, after, safety)


def check(before, after, safety):
    rng = np.random.default_rng(5)
    if safety == "exact":
        for draw in (moderate(rng), moderate(rng, positive=True), *[special(rng)] * 20):
            same_bits(*both_sides(before, after, draw))
        return
    for draw in (moderate(rng, positive=True), moderate(rng))[:1 if safety == "careless" else 2]:
        close_values(*both_sides(before, after, draw), strict=safety == "rounding")
    if safety == "rounding":
        for _ in range(20):
            no_value_lost(*both_sides(before, after, special(rng, WITHOUT_OVERFLOW)))


def same_bits(a, b):
    nan = np.isnan(a) if a.dtype.kind in "fc" else np.zeros(a.shape, bool)
    if a.dtype.kind in "fc":
        np.testing.assert_array_equal(nan, np.isnan(b))
    assert np.where(nan, 0, a).astype(a.dtype).tobytes() == np.where(nan, 0, b).astype(b.dtype).tobytes(), (a, b)


def close_values(a, b, strict):
    """Where the left side has a number, the right side has nearly the same; where not, a strict rule has none
    either."""
    if a.dtype.kind not in "fc":
        np.testing.assert_array_equal(a, b)
        return
    tolerance = 1e-5 if a.dtype == np.float32 else 1e-11
    ok = np.isfinite(a)
    np.testing.assert_allclose(b[ok], a[ok], rtol=tolerance, atol=tolerance)
    if strict:
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


def no_value_lost(a, b):
    if a.dtype.kind in "f":
        with np.errstate(over="ignore"):  # 1e300 is infinite in float32
            ok = np.isfinite(a) & (np.abs(a) < 1e300)
        np.testing.assert_allclose(b[ok], a[ok], rtol=1e-5 if a.dtype == np.float32 else 1e-9, atol=1e-300)


def test_phases_and_safeties_are_used():
    rules = RULES.values()
    assert {r.phase for r in rules} == set(PHASES[:3])  # contract is a pass over the whole graph
    assert {r.safety for r in rules} == set(SAFETY)


def test_every_rule_says_what_it_does():
    for rule in RULES.values():
        if rule.lhs is None:
            assert rule.apply.__doc__, f"{rule.name} has no docstring"




def test_the_page_of_rewrites_names_them_all():
    page = (Path(__file__).parent.parent / "docs" / "rewrites.md").read_text(encoding="utf-8")
    answers = re.findall(r"^\| (R\d{3}) \| .+ \| (.+) \|$", page, re.MULTILINE)
    assert [number for number, _ in answers] == [f"R{n:03}" for n in range(1, 255)]
    phases = "|".join(PHASES)
    listed = {name for row in re.findall(rf"^\| (?:{phases}) \| \w+ \| (`.+) \|$", page, re.MULTILINE)
              for name in re.findall(r"`(\w+)`", row)}
    registered = {name.partition(".")[0] for name in BY_NAME} | {"contract"}
    assert listed == registered
    reason = re.compile(r"(Design|Later|Never|Not needed|Not by default|As R\d+|The other way|Only)\b")
    for number, answer in answers:
        assert set(re.findall(r"`(\w+)`", answer)) & registered or reason.match(answer), number
