"""Devices: the CPU as context manager and decorator, and clear words about the others."""

import numpy as np
import pytest

import tracejit
from tracejit import config, device, devices, jit
from tracejit.errors import ConfigError, DeviceError

X = np.arange(3.0)


def test_cpu():
    assert devices() == ["cpu"]
    f = jit(lambda x: x + 1)
    with device("cpu"):
        np.testing.assert_array_equal(f(X), X + 1)
        assert config.device == "cpu"

    @device("cpu")
    def work():
        return f(X)
    np.testing.assert_array_equal(work(), X + 1)
    assert f.cache_info().traces == 1  # the same flags, the same code
    np.testing.assert_array_equal(jit(lambda x: x * 2, device="cpu")(X), 2 * X)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_is_refused_in_words(name):
    for attempt in (lambda: device(name), lambda: jit(np.sin, device=name)):
        with pytest.raises(DeviceError) as error:
            attempt()
        lines = str(error.value).splitlines()
        assert len(lines) == 3 and name in lines[0] and __file__ in lines[1] and "do: " in lines[2]
    assert config.device == "cpu"


def test_cuda_by_flag_is_refused_at_the_call():
    f = jit(lambda x: x + 1)
    f(X)
    with config.context(device="cuda:0"), pytest.raises(DeviceError, match="cuda:0"):
        f(X)
    np.testing.assert_array_equal(f(X), X + 1)


@pytest.mark.parametrize("name", ["tpu", "cpu:1", "", "cuda:x", "cuda:-1"])
def test_names_that_are_none(name):
    with pytest.raises(ConfigError, match="device"):
        device(name)


def test_context_is_left_after_an_error():
    with pytest.raises(KeyError), tracejit.device("cpu"):
        raise KeyError
    assert config.device == "cpu"
