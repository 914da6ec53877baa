"""The profile and the log: counts that are right, and nothing where they are off."""

import subprocess
import sys

import numpy as np
import pytest

import tracejit
from tracejit import profiling
from tracejit.config import config


@pytest.fixture(autouse=True)
def clean():
    profiling.reset()
    yield
    profiling.reset()


@pytest.mark.parametrize("backend", ["auto", "ref"])
def test_calls_traces_and_compilations_are_counted(backend):
    def double_it(x):
        return x * 2

    with config.context(profile=True, backend=backend):
        f = tracejit.jit(double_it)
        for _ in range(5):
            assert (f(np.arange(3.0)) == [0, 2, 4]).all()
        f(np.arange(4.0))
    costs = profiling._costs["double_it"]
    assert (costs.calls, costs.traces, costs.compiles) == (6, 2, 2)
    assert 0 < costs.call_seconds < 1 and costs.trace_seconds > 0 and costs.compile_seconds > 0
    assert "double_it" in profiling.profile()


def test_nothing_is_recorded_without_the_flag():
    tracejit.jit(lambda x: x + 1)(np.arange(3.0))
    assert not profiling._costs


def test_errors_of_compiled_code_still_raise():
    with config.context(profile=True):
        f = tracejit.jit(lambda x, i: x[i])
        assert f(np.arange(3.0), 1) == 1
        with pytest.raises(IndexError):
            f(np.arange(3.0), 7)


def test_the_log_tells_of_each_step(capfd):
    with config.context(log="trace+compile+dispatch"):
        tracejit.jit(lambda x: x - 1, name="less")(np.arange(3.0))
    lines = capfd.readouterr().err
    assert "tracejit trace: less" in lines and "tracejit compile: less" in lines and "tracejit dispatch:" in lines


def test_the_table_is_printed_at_exit():
    code = "import numpy as np, tracejit; f = tracejit.jit(np.sin); f(np.arange(3.)); f(np.arange(3.))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         env={**__import__("os").environ, "TRACEJIT_FLAGS": "profile=True"})
    assert "function" in out.stderr and " 2 " in out.stderr


def test_a_device_that_does_not_exist_is_refused_by_flag():
    with config.context(device="cuda:0"), pytest.raises(tracejit.errors.DeviceError, match="cuda:0"):
        tracejit.jit(lambda x: x + 1)(np.arange(3.0))
