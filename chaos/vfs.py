"""SQLite's own file layer with our hand in between: writes, syncs and shared memory pass through a `Disk`.

The file objects stay those of the system's layer. Only the table of methods that each points to is exchanged for a
copy in which a few methods are ours, so that reading and locking cost nothing.
"""

from __future__ import annotations

import ctypes
import functools
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any, Final

from chaos.disk import Call, Disk, Fault
from chaos.shadow import Change

NAME: Final = b"podium-chaos"

_FILE_METHODS: Final = (
    "xClose xRead xWrite xTruncate xSync xFileSize xLock xUnlock xCheckReservedLock xFileControl xSectorSize "
    "xDeviceCharacteristics xShmMap xShmLock xShmBarrier xShmUnmap xFetch xUnfetch"
)
_VFS_METHODS: Final = (
    "xOpen xDelete xAccess xFullPathname xDlOpen xDlError xDlSym xDlClose xRandomness xSleep xCurrentTime "
    "xGetLastError xCurrentTimeInt64 xSetSystemCall xGetSystemCall xNextSystemCall"
)


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = [
        ("iVersion", c_int),
        *[(name, c_void_p) for name in _FILE_METHODS.split()],
    ]


class _File(ctypes.Structure):
    """The head of `sqlite3_file`, which is all that every layer shares."""

    _fields_ = [("pMethods", POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, version 3."""

    _fields_ = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        *[(name, c_void_p) for name in _VFS_METHODS.split()],
    ]


_Open = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(_File), c_int, POINTER(c_int))
_Delete = ctypes.CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_Close = ctypes.CFUNCTYPE(c_int, c_void_p)
_Transfer = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = ctypes.CFUNCTYPE(c_int, c_void_p, c_int)
_Size = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(c_int64))
_ShmLock = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, c_int, c_int)

_TAKES: Final = 2
"""The flag of a lock on shared memory that is taken, as opposed to one that is given back."""

_MAY_CREATE: Final = 4
"""The flag of a file that is made when it is not there."""


class FaultyVfs:
    """The layer. Files in the folder of a disk that was added pass through it; all others are left alone."""

    def __init__(self) -> None:
        import _sqlite3

        # The library that the interpreter itself uses: its symbols are found through the module that links to it.
        library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        try:
            find, self._register = library.sqlite3_vfs_find, library.sqlite3_vfs_register
        except AttributeError:
            raise NotImplementedError(
                f"{sys.executable} hides SQLite's functions, so its disk cannot be made to fail. "
                "Use an interpreter that is linked to the system's SQLite."
            ) from None
        find.restype = POINTER(_Vfs)
        self._below: Any = find(None)
        self._disks: dict[Path, Disk] = {}
        self._open_files: dict[int, tuple[Path, Disk, _Methods]] = {}
        self._tables: dict[int, _Methods] = {}
        self._open_below = _Open(self._below.contents.xOpen)
        self._delete_below = _Delete(self._below.contents.xDelete)
        self._vfs = _Vfs.from_buffer_copy(self._below.contents)
        self._vfs.pNext, self._vfs.zName = None, NAME
        # Kept here, because SQLite does not keep them alive.
        self._ours = {
            "xClose": _Close(self._close),
            "xRead": _Transfer(_guarded(self._read, sqlite3.SQLITE_IOERR_READ)),
            "xWrite": _Transfer(_guarded(self._write, sqlite3.SQLITE_IOERR_WRITE)),
            "xTruncate": _Truncate(_guarded(self._truncate, sqlite3.SQLITE_IOERR_TRUNCATE)),
            "xSync": _Sync(_guarded(self._sync, sqlite3.SQLITE_IOERR_FSYNC)),
            "xShmLock": _ShmLock(_guarded(self._shm_lock, sqlite3.SQLITE_IOERR_SHMLOCK)),
        }
        self._open_callback = _Open(_guarded(self._open, sqlite3.SQLITE_CANTOPEN))
        self._delete_callback = _Delete(_guarded(self._delete, sqlite3.SQLITE_IOERR_DELETE))
        self._vfs.xOpen = _address(self._open_callback)
        self._vfs.xDelete = _address(self._delete_callback)
        self._register(byref(self._vfs), 0)

    @contextmanager
    def as_default(self, disk: Disk) -> Iterator[None]:
        """Let connections to files in the disk's folder pass through it until the block ends."""
        folder = disk.folder.resolve()
        self._disks[folder] = disk
        self._register(byref(self._vfs), 1)
        try:
            yield
        finally:
            del self._disks[folder]
            if not self._disks:
                self._register(self._below, 1)

    # Called by SQLite -----------------------------------------------------------------------------------------------

    def _open(self, _vfs: int, name: int | None, file: Any, flags: int, out: Any) -> int:
        path = Path(ctypes.string_at(name).decode()) if name else None
        disk = self._disks.get(path.parent) if path else None
        if disk is not None and disk.is_dead and flags & _MAY_CREATE:
            return sqlite3.SQLITE_CANTOPEN
        code: int = self._open_below(ctypes.addressof(self._below.contents), name, file, flags, out)
        if code == sqlite3.SQLITE_OK and disk is not None and path is not None:
            below = file.contents.pMethods
            original: int = ctypes.addressof(below.contents)
            table = self._tables.get(original)
            if table is None:
                table = self._tables[original] = _Methods.from_buffer_copy(below.contents)
                for method, ours in self._ours.items():
                    setattr(table, method, _address(ours))
            self._open_files[ctypes.addressof(file.contents)] = (path, disk, below.contents)
            file.contents.pMethods = ctypes.pointer(table)
        return code

    def _delete(self, _vfs: int, name: bytes, sync_folder: int) -> int:
        path = Path(name.decode())
        disk = self._disks.get(path.parent)
        if disk is not None:
            with disk.lock:
                if disk.is_dead:
                    return sqlite3.SQLITE_IOERR_DELETE
                disk.noted_delete(path)
        return _code(self._delete_below(ctypes.addressof(self._below.contents), name, sync_folder))

    def _close(self, file: int) -> int:
        _, _, below = self._open_files.pop(file)
        return _code(_Close(below.xClose)(file))

    def _read(self, file: int, buffer: int, length: int, offset: int) -> int:
        path, disk, below = self._open_files[file]
        with disk.lock:
            if disk.strikes(Call.READ, path):
                return sqlite3.SQLITE_IOERR_READ
        return _code(_Transfer(below.xRead)(file, buffer, length, offset))

    def _write(self, file: int, data: int, length: int, offset: int) -> int:
        path, disk, below = self._open_files[file]
        with disk.lock:
            fault = None if disk.is_dead else disk.strikes(Call.WRITE, path)
            disk.is_full |= fault is Fault.DISK_FULL
            if disk.is_full:
                return sqlite3.SQLITE_FULL
            if disk.is_dead or fault is Fault.WRITE_FAILS:
                return sqlite3.SQLITE_IOERR_WRITE
            if fault is Fault.WRITE_IS_TORN:
                length = disk.dice.randrange(length)
            code = self._noted_write(path, disk, below, file, data, length, offset)
            if fault in {Fault.WRITE_IS_TORN, Fault.POWER_FAILS_AT_WRITE}:
                disk.cut()
                return sqlite3.SQLITE_IOERR_WRITE
            return code

    def _noted_write(
        self, path: Path, disk: Disk, below: _Methods, file: int, data: int, length: int, offset: int
    ) -> int:
        size = _size(below, file)
        before = _read(below, file, offset, min(length, max(size - offset, 0)))
        if length:
            disk.noted_write(path, Change(offset, before, ctypes.string_at(data, length), size))
            return _code(_Transfer(below.xWrite)(file, data, length, offset))
        return sqlite3.SQLITE_OK

    def _truncate(self, file: int, size: int) -> int:
        path, disk, below = self._open_files[file]
        with disk.lock:
            if disk.is_dead:
                return sqlite3.SQLITE_IOERR_TRUNCATE
            before = _size(below, file)
            cut_off = _read(below, file, size, max(before - size, 0))
            disk.noted_write(path, Change(size, cut_off, None, before))
            return _code(_Truncate(below.xTruncate)(file, size))

    def _sync(self, file: int, _flags: int) -> int:
        path, disk, _ = self._open_files[file]
        with disk.lock:
            fault = None if disk.is_dead else disk.strikes(Call.SYNC, path)
            if fault is Fault.POWER_FAILS_BEFORE_SYNC:
                disk.cut()
            if disk.is_dead or fault is Fault.SYNC_FAILS:
                if not disk.is_dead:
                    disk.noted_sync(path, failed=True)
                return sqlite3.SQLITE_IOERR_FSYNC
            # What is durable is decided here, so the system need not be asked.
            disk.noted_sync(path, failed=False)
            if fault is Fault.POWER_FAILS_AFTER_SYNC:
                disk.cut()
            return sqlite3.SQLITE_OK

    def _shm_lock(self, file: int, offset: int, count: int, flags: int) -> int:
        path, disk, below = self._open_files[file]
        if flags & _TAKES:
            with disk.lock:
                if disk.strikes(Call.SHARE, path) is Fault.SHARED_MEMORY_FAILS:
                    return sqlite3.SQLITE_IOERR_SHMLOCK
        return _code(_ShmLock(below.xShmLock)(file, offset, count, flags))


@functools.cache
def faulty_vfs() -> FaultyVfs:
    """Return the layer of this process. It stays registered: SQLite may hold on to it in files that are open."""
    return FaultyVfs()


def _guarded(function: Callable[..., int], failure: int) -> Callable[..., int]:
    """Turn exceptions into an error code: ctypes would make them a success."""

    @functools.wraps(function)
    def guarded(*arguments: Any) -> int:
        try:
            return function(*arguments)
        except BaseException:  # noqa: BLE001 - nothing may pass into C
            import traceback

            traceback.print_exc()
            return failure

    return guarded


def _code(result: Any) -> int:
    """Return what a call to the layer below came to."""
    return int(result)


def _address(callback: Any) -> int | None:
    return ctypes.cast(callback, c_void_p).value


def _size(below: _Methods, file: int) -> int:
    size = c_int64()
    _Size(below.xFileSize)(file, byref(size))
    return size.value


def _read(below: _Methods, file: int, offset: int, length: int) -> bytes:
    if not length:
        return b""
    buffer = ctypes.create_string_buffer(length)
    _Transfer(below.xRead)(file, ctypes.addressof(buffer), length, offset)
    return buffer.raw
