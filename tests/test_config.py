"""Flags: precedence, contexts, threads, keys, and messages that list the remedy."""

import asyncio
import copy
import importlib
import os
import pickle
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracejit.errors import ConfigError

module = importlib.import_module("tracejit.config")  # the package shows the object under the module's name
config = module.config


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """Each test starts from the defaults, whatever the machine's file and environment say."""
    monkeypatch.setenv("TRACEJIT_RC", "")
    monkeypatch.delenv("TRACEJIT_FLAGS", raising=False)
    config.reload()
    yield
    monkeypatch.undo()
    config.reload()


def rc(monkeypatch, tmp_path, text):
    path = tmp_path / "rc"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("TRACEJIT_RC", str(path))
    return path


@pytest.mark.parametrize("name", module.FLAGS)
def test_every_flag_documented_and_default_parses(name):
    flag = module.FLAGS[name]
    assert flag.__doc__.endswith(".")
    assert flag.parse(flag.default) == flag.default == getattr(config, name)
    written = module.flag_text(flag.default)
    assert flag.parse(written) == flag.default, "what print shows can be read back"
    assert f"{name} " in repr(config) and flag.__doc__ in repr(config)
    assert name in dir(config)


def test_environment_over_file_over_default(monkeypatch, tmp_path):
    path = rc(monkeypatch, tmp_path, "[tracejit]\nthreads = 3\ncache_size = 2G\ncflags = -O1 -DX=1  \n# no\n")
    monkeypatch.setenv("TRACEJIT_FLAGS", "threads=5, log=rules+trace,check")
    config.reload()
    assert (config.threads, config.cache_size, config.cflags) == (5, 2 << 30, "-O1 -DX=1")
    assert config.log == {"rules", "trace"} and config.check is True
    assert config.backend == "auto"
    assert f"cache_size = 2147483648  ({path})" in repr(config)
    config.threads = 7
    assert config.threads == 7
    with config.context(threads="9"):
        assert config.threads == 9
    assert config.threads == 7
    del config.threads
    assert config.threads == 0


def test_file_at_home(tmp_path):
    (tmp_path / ".tracejitrc").write_text("[tracejit]\nbackend = numba\n")
    env = {k: v for k, v in os.environ.items() if k not in ("TRACEJIT_RC", "TRACEJIT_FLAGS")}
    env |= {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    code = "from tracejit.config import config; print(config.backend)"
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert out.stdout == "numba\n"


@pytest.mark.parametrize(
    "line, what",
    [
        ("chek=True", "unknown flag 'chek', did you mean 'check'?"),
        ("log=rules,compile", "unknown flag 'compile'"),
        ("cc", "flag cc has no value"),
        ("check=maybe", "flag check does not take 'maybe'"),
        ("backend=cuda", "flag backend does not take 'cuda'"),
        ("threads=-1", "flag threads does not take '-1'"),
        ("cache_size=big", "flag cache_size does not take 'big'"),
        ("device=gpu", "flag device does not take 'gpu'"),
    ],
)
def test_bad_environment(monkeypatch, line, what):
    monkeypatch.setenv("TRACEJIT_FLAGS", line)
    with pytest.raises(ConfigError) as caught:
        config.reload()
    first, where, do = str(caught.value).splitlines()
    assert first.startswith(what)
    assert where == "  where: TRACEJIT_FLAGS"
    if "unknown" in what:
        assert all(name in do for name in module.FLAGS)
    with pytest.raises(ConfigError):  # not hidden behind an AttributeError the second time
        _ = config.check


@pytest.mark.parametrize(
    "text, what",
    [
        ("[tracejit]\nchek = 1\n", "unknown flag 'chek'"),
        ("[global]\ncheck = 1\n", "unknown section [global]"),
        ("check = 1\n", "the flags' file cannot be read"),
        ("[tracejit]\ncheck = 1\ncheck = 0\n", "the flags' file cannot be read"),
        ("[tracejit]\npool = x\n", "flag pool does not take 'x'"),
    ],
)
def test_bad_file(monkeypatch, tmp_path, text, what):
    path = rc(monkeypatch, tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        config.reload()
    assert str(caught.value).startswith(what)
    assert f"where: {path}" in str(caught.value)


def test_named_file_must_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("TRACEJIT_RC", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="cannot be read"):
        config.reload()


def test_mistakes_in_a_program():
    with pytest.raises(ConfigError, match="unknown flag 'chek'") as caught:
        config.chek = True
    assert f"where: {__file__}" in str(caught.value)
    with pytest.raises(ConfigError, match="unknown flag 'chek'"):
        config.context(chek=True)
    with pytest.raises(ConfigError, match="does not take 3.5"):
        config.threads = 3.5
    with pytest.raises(ConfigError, match="does not take None"):
        config.cc = None
    assert not hasattr(config, "chek")
    assert getattr(config, "chek", 0) == 0


def test_context_nests_and_restores_on_error():
    with pytest.raises(ZeroDivisionError), config.context(check=True):
        with config.context(backend="numba"):
            assert (config.check, config.backend) == (True, "numba")
        assert config.backend == "auto"
        _ = 1 / 0
    assert config.check is False


def test_assignment_in_a_context_ends_with_it():
    with config.context(check=True):
        config.threads = 4
        with config.context():
            config.check = False
            assert (config.threads, config.check) == (4, False)
        assert (config.threads, config.check) == (4, True)
    assert (config.threads, config.check) == (0, False)


def test_context_as_decorator_and_again():
    here = config.context(threads=2)

    @here
    def f(n):
        return config.threads if n == 0 else f(n - 1)

    assert f(3) == 2 and f(0) == 2 and config.threads == 0
    with here, here:
        assert config.threads == 2
    assert config.threads == 0


def test_context_holds_in_its_thread_only():
    seen, inside, done = [], threading.Event(), threading.Event()

    def other():
        inside.wait(10)
        seen.append(config.backend)
        with config.context(backend="ref"):
            seen.append(config.backend)
            done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with config.context(backend="numba"):
        inside.set()
        assert done.wait(10)
        assert config.backend == "numba"
    thread.join()
    # a thread that inherits its starter's context (free-threaded Python) was started outside of it here
    assert seen == ["auto", "ref"]


def test_context_holds_in_its_task_only():
    async def one(name, other_may_go, my_turn):
        with config.context(backend=name):
            other_may_go.set()
            await my_turn.wait()
            return config.backend

    async def both():
        a, b = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(one("numba", a, b), one("ref", b, a))

    assert asyncio.run(both()) == ["numba", "ref"]
    assert config.backend == "auto"


def test_key_is_an_identity_of_what_compiles():
    start = config.key()
    assert config.key() is start
    hash(start)
    values = {"backend": "ref", "check": True, "threads": 2, "device": "cuda:1", "cc": "cc", "fast": True}
    for name, value in values.items():
        with config.context(**{name: value}):
            changed = config.key()
            assert changed is not start
            with config.context(**{name: module.FLAGS[name].default}):
                assert config.key() is start, "equal flags, same key"
            assert config.key() is changed
        assert config.key() is start
    with config.context(log="rules", cache_dir="/nowhere", pool=0):
        assert config.key() is start, "flags that change no compiled code"


def test_watchers_hear_of_the_global_key(monkeypatch):
    heard = []
    monkeypatch.setattr(module, "_watchers", [])
    config.watch(heard.append)
    with config.context(check=True):
        config.check = False
    assert heard == [config.key()]
    config.check = True
    assert heard[1:] == [config.key()] and heard[1] is not heard[0]


def test_a_mistake_in_the_flags_stops_no_import():
    code = """
from tracejit.config import config
heard = []
config.watch(heard.append)
assert not heard
try:
    config.check
except ValueError:
    print("told at the first use")
"""
    env = dict(os.environ, TRACEJIT_FLAGS="chek=True")
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert out.stdout == "told at the first use\n"


def test_one_config():
    assert pickle.loads(pickle.dumps(config)) is config
    assert copy.deepcopy(config) is config


@given(st.integers(0, 2**60))
def test_size_in_bytes(n):
    assert module.size(n) == module.size(str(n)) == n


@pytest.mark.parametrize("text, n", [("1K", 1024), ("1.5 GiB", 3 << 29), ("2mb", 2 << 20), ("3T", 3 << 40)])
def test_size_with_units(text, n):
    assert module.size(text) == n


@given(st.text(max_size=8))
def test_parsers_raise_nothing_else(text):
    for flag in module.FLAGS.values():
        try:
            value = flag.parse(text)
        except ValueError:
            continue
        assert flag.parse(module.flag_text(value)) == value


def test_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    most = config.thread_count()
    assert 1 <= most <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1,2")
    assert config.thread_count() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "10000")
    assert config.thread_count() == most
    for odd in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", odd)
        assert config.thread_count() == most
    with config.context(threads=37):
        assert config.thread_count() == 37


@pytest.mark.parametrize(
    "groups, files, limits",
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000"}, [2]),
        ("0::/a/b\n", {"cpu.max": "400000 100000", "a/cpu.max": "50000 100000"}, [1, 4]),
        ("0::/not/visible\n", {"cpu.max": "200000 100000"}, [2]),
        ("4:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "300", "cpu/x/cpu.cfs_period_us": "100"}, [3]),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, []),
        ("1:memory:/\nodd line\n", {}, []),
    ],
)
def test_cgroup_quota(tmp_path, groups, files, limits):
    (tmp_path / "cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert list(module._cgroup_limits(tmp_path / "cgroup", tmp_path / "fs")) == limits
    assert list(module._cgroup_limits(tmp_path / "none", tmp_path / "fs")) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forked_child_reads_flags():
    with module._lock:
        pid = os.fork()
        if pid == 0:
            held = []
            # in another thread: a lock left held by the parent's thread would block it
            t = threading.Thread(target=lambda: held.append(config.reload()))
            t.start()
            t.join(5)
            os._exit(0 if held else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
