"""The disk cache: whatever happens to it, results are right and nothing crashes."""

import ctypes
import errno
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from executables import BIND

from tracejit.config import config
from tracejit.errors import CacheWarning, CompileError
from tracejit.kernels import cache, compile, toolchain

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")
ROOT = Path(__file__).parent.parent


@pytest.fixture
def place(tmp_path):
    """An empty disk cache, and nothing remembered of others."""
    forget()
    with config.context(cache_dir=str(tmp_path / "cache")):
        yield tmp_path / "cache" / cache.LAYOUT
    forget()


def forget():
    """Forget what this process has loaded, warned of, and stored elsewhere."""
    compile._load.cache_clear()
    cache._warned.clear()
    cache._private.clear()


def source(number):
    return f"{BIND}TJ_EXPORT int64_t tj_entry(void **bufs, int64_t *err) {{ return {number}; }}\n"


def answer(number):
    """Compile, or find, a program that returns this number, load and call it."""
    compile._load.cache_clear()
    address = compile.load(source(number)).address
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(address)(None, None)


def libraries(place):
    return sorted(p for p in place.rglob("*" + cache.SUFFIX))


def no_compiler(monkeypatch):
    """From here on a compile is a failure: what comes comes from the cache."""

    def compile_to(*args, **kwargs):
        raise AssertionError("compiled again")

    monkeypatch.setattr(toolchain, "compile_to", compile_to)


# ---------------------------------------------------------------- files and keys
def test_keys_keep_their_parts_apart():
    keys = {cache.key("ab", "c"), cache.key("a", "bc"), cache.key("abc"), cache.key(b"abc", ""), cache.key()}
    assert len(keys) == 5 and all(len(k) == 40 for k in keys)


def test_files_and_blobs(place, tmp_path):
    key, other = cache.key("a"), cache.key("b")
    assert cache.get(key) is None and cache.get_blob(key) is None
    file = tmp_path / "made"
    file.write_bytes(b"library")
    stored = cache.put(key, file)
    assert stored.read_bytes() == b"library" and cache.get(key) == stored and file.exists()
    cache.put_blob(key, b"blob")
    assert cache.get_blob(key) == b"blob" and cache.get_blob(other) is None
    assert cache.size() == len(b"libraryblob")
    assert cache.folder() == place
    cache.clear()
    assert cache.get(key) is None and cache.size() == 0


def test_clearing_touches_nothing_else(place, tmp_path):
    cache.put_blob(cache.key("a"), b"x")
    mine = [place / "mine.txt", place / "ab" / "notes"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("keep")
    cache.clear()
    assert all(p.read_text() == "keep" for p in mine)


@POSIX
def test_the_folder_is_private(place):
    old = os.umask(0)
    try:
        cache.put_blob(cache.key("a"), b"x")
    finally:
        os.umask(old)
    assert place.stat().st_mode & 0o777 == 0o700
    os.chmod(place, 0o755)  # readable for others, and never writable: mended
    assert cache.get_blob(cache.key("a")) == b"x"
    assert place.stat().st_mode & 0o777 == 0o700


def test_the_least_recently_used_go_first(place):
    store = cache.Store(place, 1000)
    place.mkdir(parents=True)
    keys = [cache.key(str(i)) for i in range(10)]
    for i, key in enumerate(keys):
        path = store.put_blob(key, bytes(100))
        os.utime(path, (i, i))
    assert store.get_blob(keys[0]) == bytes(100)  # used just now
    store.limit = 500
    store.tidy()
    left = [i for i, key in enumerate(keys) if store.get_blob(key)]
    assert left[0] == 0 and 0 < len(left) <= 5 and left[1:] == list(range(10 - len(left) + 1, 10))


def test_the_limit_is_the_flag(place):
    with config.context(cache_size=1000):
        for i in range(200):
            cache.put_blob(cache.key(str(i)), bytes(100))
        assert cache.size() <= 1000 + 64 * 100  # looked at every so often


def test_what_killed_processes_left_goes(place):
    cache.put_blob(cache.key("a"), b"x")
    store = next(cache.stores())
    old, new = place / "tmp-old", place / "tmp-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "half.so").write_bytes(b"half")
    os.utime(old, (time.time() - 10**5,) * 2)
    store.tidy()
    assert not old.exists() and new.exists()


# ---------------------------------------------------------------- code
def test_code_is_found_again(place, monkeypatch):
    assert answer(41) == 41
    assert len(libraries(place)) >= 1
    no_compiler(monkeypatch)
    assert answer(41) == 41


def test_nothing_is_left_lying_about(place):
    answer(42)
    assert not [p for p in place.iterdir() if p.name.startswith("tmp-")]
    assert {p.suffix for p in place.rglob("*.*")} <= {cache.SUFFIX, cache.BLOB}


DAMAGE = {
    "empty": lambda b: b"",
    "truncated": lambda b: b[: len(b) // 2],
    "one byte short": lambda b: b[:-1],
    "a bit flipped": lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:],
    "zeros": lambda b: bytes(len(b)),
    "text": lambda b: b"not a library",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_code_is_compiled_again(place, damage, tmp_path):
    """In a process of its own: to map a truncated library is to crash."""
    code = "import test_cache; assert test_cache.answer(43) == 43; print('fine')"
    run = [sys.executable, "-c", code]
    environment = os.environ | {
        "TRACEJIT_FLAGS": f"cache_dir={tmp_path / 'cache'}",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    assert subprocess.run(run, env=environment, capture_output=True, text=True, cwd=ROOT).stdout == "fine\n"
    whole = {path: path.read_bytes() for path in place.rglob("*.*")}
    assert whole
    for path, data in whole.items():
        path.write_bytes(DAMAGE[damage](data))
    out = subprocess.run(run, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert out.stdout == "fine\n", out
    for path in place.rglob("*.*"):
        assert path.read_bytes() == whole.get(path, path.read_bytes())


def test_removed_while_in_use(place):
    assert answer(44) == 44
    for path in libraries(place):
        path.unlink()
    assert answer(44) == 44


def test_switched_off(place):
    with config.context(cache=False), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert answer(45) == 45
    assert not place.exists()


def warned(number):
    with pytest.warns(CacheWarning) as caught:
        assert answer(number) == number
    assert len(caught) == 1, [str(w.message) for w in caught]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert answer(number) == number
        assert answer(number + 1000) == number + 1000
    return str(caught[0].message)


@POSIX
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(place, mode):
    answer(46)
    for path in libraries(place):
        path.unlink()
    os.chmod(place, mode)
    message = warned(47)
    assert "others may write to it" in message and str(place) in message and "\n  do: " in message
    assert not libraries(place) and place.stat().st_mode & 0o7777 == mode


@POSIX
def test_a_folder_that_anyone_may_replace_is_not_used(place):
    place.parent.mkdir()
    os.chmod(place.parent, 0o777)
    assert "anyone may replace it" in warned(48)
    os.chmod(place.parent, 0o1777)  # as /tmp: others may not rename it
    forget()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert answer(48) == 48
    assert libraries(place)


@POSIX
def test_somebody_elses_folder_is_not_used(place, monkeypatch):
    place.mkdir(parents=True, mode=0o700)
    owner = place.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert f"belongs to another user (uid {owner})" in warned(49)


@POSIX
def test_a_link_or_a_file_in_its_place_is_not_used(place, tmp_path):
    place.parent.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "elsewhere")
    assert "not a directory" in warned(50)
    place.unlink()
    place.write_text("a file")
    forget()
    warned(51)


def _failing(monkeypatch, module, name, number, when):
    """Make a function of the operating system fail, for paths in the folder `when`."""
    real = getattr(module, name)

    def fail(path, *args, **kwargs):
        where = str(kwargs.get("dir") or path)
        if where.startswith(str(when)):
            raise OSError(number, os.strerror(number))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(module, name, fail)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_made(place, monkeypatch, number):
    _failing(monkeypatch, os, "mkdir", number, place.parent)
    assert os.strerror(number) in warned(52)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_disk_that_is_full_at_the_last_step(place, monkeypatch, number):
    answer(53)
    for path in libraries(place):
        path.unlink()
    _failing(monkeypatch, os, "replace", number, place)
    assert os.strerror(number) in warned(54)


def test_a_disk_that_is_full_for_the_source(place, monkeypatch):
    answer(55)
    for path in libraries(place):
        path.unlink()
    real = Path.write_text

    def write_text(self, *args, **kwargs):
        if str(self).startswith(str(place)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", write_text)
    assert "No space left" in warned(56)


def test_no_disk_at_all(place, monkeypatch):
    def no_store():
        yield from ()

    toolchain.compiler()
    monkeypatch.setattr(cache, "stores", no_store)
    with pytest.raises(CompileError, match="no folder to compile in"):
        answer(57)


@POSIX
def test_a_disk_that_is_really_full(tmp_path):
    """A file system of 64 kB, where this system lets us have one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system lets us mount nothing")
    try:
        forget()
        with config.context(cache_dir=str(disk)), pytest.warns(CacheWarning) as caught:
            for i in range(60, 70):
                assert answer(i) == i
        assert len(caught) == 1 and "space" in str(caught[0].message)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@POSIX
def test_a_disk_from_which_nothing_may_be_executed(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount such a disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700,noexec", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system lets us mount nothing")
    try:
        forget()
        with config.context(cache_dir=str(disk)), pytest.warns(CacheWarning) as caught:
            assert answer(71) == 71 and answer(72) == 72 and answer(71) == 71
        assert len(caught) == 1 and "executed" in str(caught[0].message)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


# ---------------------------------------------------------------- many processes
def test_ten_processes_at_once(tmp_path):
    """They compile the same functions into one empty cache, start together, and leave one file of each."""
    code = """
import sys, time, test_cache
start = float(sys.argv[1])
time.sleep(max(0, start - time.time()))
assert [test_cache.answer(i) for i in (80, 81, 82)] == [80, 81, 82]
print('fine')
"""
    environment = os.environ | {
        "TRACEJIT_FLAGS": f"cache_dir={tmp_path / 'cache'}",
        "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{ROOT}",
        "PYTHONWARNINGS": "error",
    }
    start = time.time() + 3
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(start)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(10)
    ]
    results = [p.communicate() for p in running]
    assert [out for out, _ in results] == ["fine\n"] * 10, results
    place = tmp_path / "cache" / cache.LAYOUT
    found = libraries(place)
    assert len({p.name[:40] for p in found}) == 4  # the three and the runtime
    assert len(found) == 4
    assert not list(place.glob("tmp-*"))


@POSIX
def test_a_process_that_is_killed_while_it_compiles(tmp_path):
    slow_source = BIND + "TJ_EXPORT int64_t tj_entry(void **b, int64_t *e) { double *x = b[0]; x[0] = 0;\n"
    slow_source += (
        "".join(f"x[{i % 7}] = sin(x[{i % 5}] * {i}.5) + exp(x[{i % 3}]);\n" for i in range(20_000)) + "return 9; }\n"
    )
    file = tmp_path / "slow.c"
    file.write_text(slow_source)
    code = f"from tracejit.kernels import compile; compile.load(open({str(file)!r}).read()); print('compiled')"
    environment = os.environ | {"TRACEJIT_FLAGS": f"cache_dir={tmp_path / 'cache'}", "PYTHONPATH": str(ROOT)}
    # the compiler itself is tried first, so that the kill meets the slow compile
    subprocess.run(
        [sys.executable, "-c", "from tracejit.kernels import toolchain; toolchain.compiler()"], env=environment
    )
    place = tmp_path / "cache" / cache.LAYOUT
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    while process.poll() is None and not list(place.glob("tmp-*/*.c")):
        time.sleep(0.01)
    process.kill()
    assert process.communicate()[0] == b""
    assert list(place.glob("tmp-*")) and not libraries(place)
    with config.context(cache_dir=str(tmp_path / "cache")):
        assert answer(90) == 90
