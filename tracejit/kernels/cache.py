"""Compiled code and small pickles on disk, found by the hash of everything they depend on.

A file is named `<shard>/<key>-<digest of its bytes><suffix>`. The key says what was asked for, the digest what
was stored, so that one rename makes an entry whole, a damaged file is known before anything maps it (to map a
truncated library is to crash), and processes that store the same entry at once need no lock.

What lies here is loaded as code. So the folder must be a directory of this user's that nobody else may write
to; where it is not, or the disk is full or read-only, a private temporary folder serves for this process, with
one warning and never a failure.
"""

import atexit
import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tracejit.config import config
from tracejit.errors import CacheWarning

LAYOUT = "v1"
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
BLOB = ".blob"

_NAME = re.compile(r"[0-9a-f]{40}-[0-9a-f]{32}\.\w+")
_WORK = "tmp-"
_STALE = 3600  # seconds after which a working folder is that of a killed process
_LOOK = 64  # look at the folder's size at the first of this many entries stored


def key(*parts):
    """Return the key of an entry that depends on these texts and bytes, and on their order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else bytes(part)
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:40]


# ---------------------------------------------------------------- who may write there
def distrust(folder):
    """Return why nothing may be loaded from this folder, or None where all is well."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        return "it is not a directory"
    if os.name == "nt":
        return None if _owned_on_windows(folder) else "it belongs to another user"
    if found.st_uid != os.geteuid():
        return f"it belongs to another user (uid {found.st_uid})"
    if found.st_mode & 0o022:
        return f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o})"
    for above in Path(os.path.realpath(folder)).parents:
        mode = above.stat().st_mode
        if mode & 0o002 and not mode & stat.S_ISVTX:  # who may rename it may replace it
            return f"anyone may replace it (mode {stat.S_IMODE(mode):04o} of {above})"
    if stat.S_IMODE(found.st_mode) != 0o700:
        os.chmod(folder, 0o700)
    return None


def _owned_on_windows(folder):
    """Say whether the folder's owner is this user, or the administrators, who may do anything anyway."""
    import ctypes  # wintypes cannot be imported everywhere
    from ctypes import wintypes

    advapi, kernel = ctypes.WinDLL("advapi32"), ctypes.WinDLL("kernel32")
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.LocalFree.argtypes = [ctypes.c_void_p]
    owner, descriptor, token = ctypes.c_void_p(), ctypes.c_void_p(), wintypes.HANDLE()
    named = advapi.GetNamedSecurityInfoW
    named.argtypes = [wintypes.LPCWSTR, ctypes.c_int, wintypes.DWORD] + [ctypes.c_void_p] * 5
    # 1: a file or directory; 1: its owner
    if named(str(folder), 1, 1, ctypes.byref(owner), None, None, None, ctypes.byref(descriptor)):
        return False
    try:
        advapi.EqualSid.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        advapi.IsWellKnownSid.argtypes = [ctypes.c_void_p, ctypes.c_int]
        if advapi.IsWellKnownSid(owner, 26) or advapi.IsWellKnownSid(owner, 22):  # administrators, system
            return True
        advapi.OpenProcessToken.argtypes = [wintypes.HANDLE, wintypes.DWORD, ctypes.c_void_p]
        if not advapi.OpenProcessToken(kernel.GetCurrentProcess(), 8, ctypes.byref(token)):  # 8: to query
            return False
        user, size = ctypes.create_string_buffer(256), wintypes.DWORD()
        information = advapi.GetTokenInformation
        information.argtypes = [wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p]
        got = information(token, 1, user, 256, ctypes.byref(size))  # 1: the user, a pointer to whose SID is first
        kernel.CloseHandle.argtypes = [wintypes.HANDLE]
        kernel.CloseHandle(token)
        return bool(got and advapi.EqualSid(owner, ctypes.c_void_p.from_buffer(user)))
    finally:
        kernel.LocalFree(descriptor)


# ---------------------------------------------------------------- one folder
class Store:
    """Entries in one folder; every method may raise OSError, which callers take as "try the next"."""

    def __init__(self, folder, limit):
        self.folder = Path(folder)
        self.limit = limit
        self._stored = 0

    def get(self, key, suffix=SUFFIX):
        """Return the path of an entry whose bytes are what was stored, or None."""
        found = self._find(key, suffix)
        return found and found[0]

    def get_blob(self, key, suffix=BLOB):
        """Return the bytes of an entry, or None."""
        found = self._find(key, suffix)
        return found and found[1]

    def _find(self, key, suffix):
        shard = self.folder / key[:2]
        try:
            names = sorted(n for n in os.listdir(shard) if n.startswith(key) and n.endswith(suffix))
            for name in names:
                path = shard / name
                data = path.read_bytes()
                if hashlib.sha256(data).hexdigest()[:32] == name[41:73]:
                    os.utime(path)  # the least recently used go first
                    return path, data
                _remove(path)
        except FileNotFoundError:  # never stored, or another process tidied up in between
            pass
        return None

    def put(self, key, made, suffix=SUFFIX):
        """Move the file `made`, which lies in a working folder of this store, into place; return its path."""
        made = Path(made)
        digest = hashlib.sha256(made.read_bytes()).hexdigest()[:32]
        path = self.folder / key[:2] / f"{key}-{digest}{suffix}"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            os.replace(made, path)
        except PermissionError:
            # Windows does not replace a library that is loaded; by its name it holds the same bytes
            if not path.exists():
                raise
        if self._stored % _LOOK == 0:
            self.tidy()
        self._stored += 1
        return path

    def put_blob(self, key, data, suffix=BLOB):
        """Store bytes; return the path."""
        with self.work() as folder:
            made = folder / "blob"
            made.write_bytes(data)
            return self.put(key, made, suffix)

    @contextlib.contextmanager
    def work(self):
        """Lend a folder on the same disk, to write in before the rename; it goes away afterwards."""
        folder = tempfile.mkdtemp(prefix=_WORK, dir=self.folder)
        try:
            yield Path(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def files(self):
        """Return `(time of last use, bytes, path)` of each entry, oldest first."""
        found = []
        for shard in _scan(self.folder):
            if len(shard.name) == 2:
                for file in _scan(shard.path):
                    if _NAME.fullmatch(file.name):
                        with contextlib.suppress(OSError):
                            about = file.stat()
                            found.append((about.st_mtime, about.st_size, file.path))
        return sorted(found)

    def tidy(self):
        """Remove what killed processes left, and the least recently used entries beyond the limit."""
        for entry in _scan(self.folder):
            with contextlib.suppress(OSError):
                if entry.name.startswith(_WORK) and entry.stat().st_mtime < time.time() - _STALE:
                    shutil.rmtree(entry.path, ignore_errors=True)
        files = self.files()
        excess = sum(size for _, size, _ in files) - self.limit
        if excess > 0:
            excess += self.limit // 10  # so that not every entry from here on has to make room
        for _, size, path in files:
            if excess <= 0:
                break
            _remove(path)
            excess -= size

    def clear(self):
        """Remove all entries and working folders, and nothing that is not ours."""
        for _, _, path in self.files():
            _remove(path)
        for entry in _scan(self.folder):
            if entry.name.startswith(_WORK):
                shutil.rmtree(entry.path, ignore_errors=True)


def _scan(folder):
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _remove(path):
    with contextlib.suppress(OSError):  # gone already, or loaded on Windows
        os.remove(path)


# ---------------------------------------------------------------- which folder
_stores: dict[str, Store] = {}
_private: dict[str, tuple[int, Store]] = {}
_warned: set[str] = set()


def folder():
    """Return the path of the disk cache, whether it exists and can be used or not."""
    root = config.cache_dir
    if not root:
        import platformdirs  # half a millisecond that a named folder does not need

        root = platformdirs.user_cache_dir("tracejit", appauthor=False)
    return Path(os.path.expanduser(root)) / LAYOUT


def stores():
    """Yield the stores that can be used, the disk cache first; going on means that the one before failed."""
    disk = _disk()
    if disk is not None:
        yield disk
    for root in (tempfile.gettempdir, lambda: "/dev/shm"):  # the second is memory: a full disk does not fill it
        with contextlib.suppress(OSError):
            yield _private_store(root())


def _disk():
    """Return the disk cache, or None where it is switched off or not to be trusted."""
    if not config.cache:
        return None
    place = folder()
    try:
        for part in (*reversed(place.parents), place):
            if not part.exists():
                part.mkdir(mode=0o700, exist_ok=True)  # parents too, whatever the umask
        reason = distrust(place)
    except OSError as error:
        reason = error
    if reason is not None:
        complain(place, reason)
        return None
    store = _stores.setdefault(str(place), Store(place, config.cache_size))
    store.limit = config.cache_size
    return store


def complain(place, reason):
    """Warn, once per folder, that it cannot serve as a cache."""
    place = str(place)
    if place not in _warned:
        _warned.add(place)
        message = (
            f"the disk cache cannot be used: {_words(reason)}\n  where: {place}\n"
            "  do: Mend or empty that folder (mode 0700, yours), or name another with TRACEJIT_FLAGS=cache_dir=/path."
        )
        warnings.warn(message, CacheWarning, stacklevel=2)


def _words(reason):
    """Return an OSError's reason without its number and path."""
    if isinstance(reason, OSError):
        return reason.strerror or errno.errorcode.get(reason.errno, str(reason))
    return str(reason)


def _private_store(root):
    """Return this process's own store under `root`, which goes away with the process."""
    pid, store = _private.get(root, (0, None))
    if store is None or not store.folder.is_dir():
        # mkdtemp makes it 0700 under a name that nobody can foresee
        store = Store(tempfile.mkdtemp(prefix="tracejit-", dir=root), sys.maxsize)
        pid = os.getpid()
        _private[root] = pid, store
        atexit.register(_drop, pid, store.folder)
    return store


def _drop(pid, folder):
    if pid == os.getpid():  # a forked child's exit must not take its parent's folder away
        shutil.rmtree(folder, ignore_errors=True)


# ---------------------------------------------------------------- for everyone
def get(key, suffix=SUFFIX):
    """Return the path of a stored file, or None."""
    return _first(lambda store: store.get(key, suffix))


def get_blob(key):
    """Return stored bytes, or None."""
    return _first(lambda store: store.get_blob(key))


def put_blob(key, data):
    """Store bytes for later processes, if that is possible."""
    for store in stores():
        try:
            store.put_blob(key, data)
            return
        except OSError as error:
            complain(store.folder, error)


def put(key, path, suffix=SUFFIX):
    """Store a copy of a file; return the path of the copy, or None where no folder can be written."""
    for store in stores():
        try:
            with store.work() as work:
                return store.put(key, shutil.copy(path, work / "copy"), suffix)
        except OSError as error:
            complain(store.folder, error)
    return None


def size():
    """Return the bytes of the disk cache."""
    return sum(size for _, size, _ in Store(folder(), 0).files())


def clear():
    """Empty the disk cache; code that is loaded stays loaded."""
    Store(folder(), 0).clear()


def _first(look):
    """Return what the first of the stores that exist finds."""
    disk = _disk()
    for store in [disk] * (disk is not None) + [store for _, store in _private.values()]:
        try:
            found = look(store)
        except OSError as error:
            complain(store.folder, error)
        else:
            if found is not None:
                return found
    return None
