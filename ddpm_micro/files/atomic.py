"""Write a file whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

# What a file system without hard links answers: FAT, some network shares, Google Drive in Colab.
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK, errno.EACCES}


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path; when the block ends well, its file appears at `path` in one step.

    The temporary file lies in the same folder, hidden and ending in ``.tmp``, so that no search for images or
    weights finds it. After an error, Ctrl-C included, it is removed and whatever stood at `path` is untouched.

    Parameters
    ----------
    path : path-like
        The file to make. With ``overwrite=True`` a symbolic link is followed: the file behind it is replaced and the
        link stays. With ``overwrite=False`` any existing name is refused, a dangling link too.
    overwrite : bool
        Whether an existing file may be replaced. Its permissions are kept.

    Yields
    ------
    pathlib.Path
        An empty file of our own to be filled by any means.

    Raises
    ------
    FileExistsError
        `path` exists and `overwrite` is false, also when another process made it in the meantime.
    IsADirectoryError
        `path` is a folder.
    OSError
        The folder is missing or read-only, the disk is full; the message names `path`.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "report.json"
    >>> with atomic_write(target) as temporary:
    ...     _ = temporary.write_text("{}")
    >>> target.read_text()
    '{}'
    """
    path = Path(path)
    target = Path(os.path.realpath(path)) if overwrite else path
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected a file to write, got a folder; give a file name", str(path))
    if target.is_symlink() and overwrite:  # realpath() gives up on links that point at each other
        raise OSError(errno.ELOOP, "symbolic links that go in a circle; give the file itself", str(path))
    if not overwrite:
        refuse_existing(path)  # before hours of work; the link below settles it without a race
    temporary = target.parent / f".{target.name[:40]}.{secrets.token_hex(6)}.tmp"
    try:
        # Not mkstemp: its 0600 would hide the result from the colleagues the umask lets in.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        publish([(temporary, target)], overwrite=overwrite)
    except OSError as error:
        raise _about(path, temporary, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def publish(files: Sequence[tuple[Path, Path]], *, overwrite: bool) -> None:
    """Give finished files, (where it lies, where it belongs), their names; the first one last.

    If there are several, an old first file goes before any other appears, so that no reader finds files of two runs
    side by side. Files that are no longer where they lay were given their names before, by a run that was stopped.
    """
    left = [(temporary, path) for temporary, path in files if temporary.exists() and not _settled(temporary, path)]
    for _, path in () if overwrite else left:
        refuse_existing(path)
    if overwrite and len(files) > 1 and left:
        files[0][1].unlink(missing_ok=True)
    for temporary, path in reversed(left):
        try:
            _sync(temporary, os.O_RDWR)
            if overwrite:
                with suppress(FileNotFoundError):
                    shutil.copymode(path, temporary)
                os.replace(temporary, path)
            else:
                _publish_new(temporary, path)
                temporary.unlink(missing_ok=True)
            with suppress(OSError):  # some systems cannot sync a folder; the file itself is safe by now
                _sync(path.parent, os.O_RDONLY)
        except OSError as error:
            raise _about(path, temporary, error) from error


def _settled(temporary: Path, path: Path) -> bool:
    """Whether a file has its name already; then the other name, which it kept when the run was stopped, goes."""
    settled = path.exists() and path.samefile(temporary)
    if settled:
        temporary.unlink()
    return settled


def locked(path: Path, what: str) -> IO[bytes]:
    """Open a file that no other process has opened so. The lock ends when the file is closed, or with the process.

    Raises
    ------
    ValueError
        If another run holds the lock; ``what`` is the name of what it writes.
    """
    file = open(path, "a+b")  # noqa: SIM115 (held open as long as the lock is wanted)
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(2**30)  # Windows lets nobody read what is locked, so it is a byte behind the end
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):  # else a file system without locks
            file.close()
            raise ValueError(f"another run is writing {what}; wait for it, or stop it") from None
    return file


def refuse_existing(path: Path) -> None:
    """FileExistsError if anything has this name."""
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "exists already; choose another name or allow overwriting", str(path))


def _publish_new(temporary: Path, path: Path) -> None:
    """Give `temporary` its name, unless the name is taken; a hard link asks and acts in one step."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        refuse_existing(path)
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # reserve the name
        except FileExistsError:
            refuse_existing(path)
            raise
        try:
            os.replace(temporary, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _about(path: Path, temporary: Path, error: OSError) -> OSError:
    """Restate an error about the temporary file, or about no file at all, in terms of the user's path."""
    if type(error) is OSError and error.errno is None:  # numpy's tofile(): "100 requested and 60 written"
        return OSError(errno.EIO, f"could not be written ({error}); is the disk full?", str(path))
    of_another_file = error.filename is not None and Path(os.fsdecode(error.filename)) != temporary
    if error.errno is None or of_another_file:
        return error
    if error.errno == errno.ENOENT and not temporary.parent.is_dir():
        return FileNotFoundError(errno.ENOENT, "the folder to write into does not exist; create it first", str(path))
    return OSError(error.errno, f"could not be written: {error.strerror}", str(path))
