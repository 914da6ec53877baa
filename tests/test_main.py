"""The command line describes the installation and empties the cache."""

import os
import re
import subprocess
import sys

import pytest

from tracejit import __main__ as command
from tracejit.config import config
from tracejit.kernels import cache


def run(*arguments, **flags):
    env = dict(os.environ, TRACEJIT_RC="", TRACEJIT_FLAGS=",".join(f"{k}={v}" for k, v in flags.items()))
    return subprocess.run([sys.executable, "-m", "tracejit", *arguments], env=env, capture_output=True, text=True)


def test_info(tmp_path):
    out = run("info", cache_dir=tmp_path / "c", threads=3)
    assert out.returncode == 0, out.stderr
    facts = dict(re.findall(r"^(\w+) +(.*)$", out.stdout, re.MULTILINE))
    assert set(facts) == {
        *("tracejit", "python", "platform", "libraries", "compiler", "dispatcher", "blas", "threads", "cache"),
        *("gpus", "flags"),
    }
    assert all(facts.values())
    for library in ("numpy", "scipy", "cffi", "numba", "optree"):
        assert re.search(rf"\b{library} \d", facts["libraries"])
    assert facts["threads"].startswith("3 ")
    assert facts["cache"].startswith(str(tmp_path)) and facts["cache"].endswith(" of 1.0 GiB")
    assert "threads=3" in facts["flags"]


def test_info_without_a_compiler():
    out = run("info", cc="no-such-compiler")
    assert out.returncode == 0, out.stderr
    assert re.search(r"^compiler +none, the Numba backend serves: .*no-such-compiler", out.stdout, re.MULTILINE)


def test_cache_is_shown_and_cleared(capsys, tmp_path):
    with config.context(cache_dir=tmp_path / "cache"):
        cache.put_blob(cache.key("something"), b"x" * 5000)
        assert command.main(["cache"]) == 0
        assert "4.9 KiB" in capsys.readouterr().out
        assert command.main(["cache", "--clear"]) == 0
        assert re.search(r", 0 B of", capsys.readouterr().out)
        assert cache.get_blob(cache.key("something")) is None
    with config.context(cache_dir=tmp_path / "none", cache=False):
        assert command.main(["cache", "--clear"]) == 0
        assert "not used" in capsys.readouterr().out


def test_flags(capsys):
    assert command.main(["flags"]) == 0
    assert "cache_dir" in capsys.readouterr().out


def test_mistakes_end_with_a_message():
    out = run("info", chek=True)
    assert out.returncode == 1
    assert out.stderr.splitlines()[0] == "unknown flag 'chek', did you mean 'check'?" and "Traceback" not in out.stderr
    assert run("nothing").returncode == 2
    assert run().returncode == 2


@pytest.mark.parametrize("n, text", [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")])
def test_bytes(n, text):
    assert command.bytes_text(n) == text
