"""Results that take long: TIFF files written plane by plane, which appear together when all planes are there."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from ddpm_micro.files import done_list
from ddpm_micro.files.atomic import locked, publish, refuse_existing
from ddpm_micro.files.output import PlaneWriter
from ddpm_micro.files.planes import Description


class Results:
    """Files of one form that are written plane by plane, appear together, and can be gone on with after a stop.

    Until all planes are there the files lie hidden beside their places, with a list of the planes that are done. A
    later run with the same ``key`` goes on from them; with another key it begins anew.

    Parameters
    ----------
    paths : sequence of Path
        Where the files are to appear; the first one last of all, so that where it is the others belong to it.
    about : Description
        See `PlaneWriter`.
    key : str
        Says what is computed from what.
    first : bool
        Whether this process makes the files; the others of one run wait for it and join.
    overwrite : bool
        Whether files that are there may be replaced.

    Raises
    ------
    ValueError
        If another run is writing the same files.
    FileExistsError
        If one of the files is there, ``overwrite`` is false, and this run has not made it.
    """

    _lock: IO[bytes] | None = None

    def __init__(
        self, paths: Sequence[Path], about: Description, key: str, *, first: bool = True, overwrite: bool = False
    ) -> None:
        self.paths = list(paths)
        self._key = hashlib.sha256(f"{key} {about} {[path.name for path in paths]}".encode()).hexdigest()
        self._begin(about, first=first, overwrite=overwrite)

    def _begin(self, about: Description, *, first: bool, overwrite: bool) -> None:
        planes, first_path = math.prod(about.shape[:-2]), self.paths[0]
        self._places = [(path.with_name(f".{path.name}.part"), path) for path in self.paths]  # where it lies, belongs
        self._list = done_list(first_path)
        head = self._key.encode()
        self._lock = locked(self._list, first_path.name) if first else None
        known = self._list.read_bytes()
        ours = known[: len(head)] == head and len(known) == len(head) + planes
        # When all planes are done, some files may have appeared already.
        finished = ours and all(known[len(head) :]) and all(h.exists() or p.exists() for h, p in self._places)
        resume = finished or (ours and all(hidden.exists() for hidden, _ in self._places))
        with self.kept_if_begun(closing=False):
            if first and not resume:
                for path in () if overwrite else self.paths:
                    refuse_existing(path)
                self._list.write_bytes(b"")  # from here on until all is made, the files count as not begun
            self._writers = [
                PlaneWriter(hidden, about, resume=resume or not first) for hidden, _ in self._places if not finished
            ]
        if first and not resume:
            self._list.write_bytes(head + bytes(planes))

    def todo(self) -> list[int]:
        """Numbers of the planes that are still to be written."""
        return [number for number, done in enumerate(self._list.read_bytes()[len(self._key) :]) if not done]

    def done(self, number: int) -> bool:
        """Whether a plane was written in the meantime, by another process."""
        return self._list.read_bytes()[len(self._key) + number] == 1

    def put(self, number: int, *images: np.ndarray) -> None:
        """Write a plane of each file; only then it counts as done."""
        for writer, image in zip(self._writers, images, strict=True):
            writer.put(number, image)
        with open(self._list, "r+b") as file:
            file.seek(len(self._key) + number)
            file.write(b"\1")

    @contextmanager
    def kept_if_begun(self, *, closing: bool = True) -> Iterator[None]:
        """If the block fails before any plane is done, remove what was made; else leave it to be gone on with.

        A ``ValueError`` says that the input is bad. Trying again would not help, so nothing is left then.
        """
        try:
            yield
        except BaseException as error:
            begun, closing = self._begun(), True
            if isinstance(error, ValueError) or not begun:
                self._discard()
            if isinstance(error, KeyboardInterrupt) and begun:
                raise KeyboardInterrupt("stopped; the same command goes on from here") from None
            raise
        finally:
            if self._lock and closing:
                self._lock.close()

    def _begun(self) -> bool:
        return self._list.exists() and any(self._list.read_bytes()[len(self._key) :])

    def _discard(self) -> None:
        for path in (*(hidden for hidden, _ in self._places), self._list):
            path.unlink(missing_ok=True)

    def publish(self, *, overwrite: bool) -> None:
        """Let the files appear. There is never a new one beside an old one."""
        if self.todo():
            raise ChildProcessError(f"a process stopped before {self.paths[0].name} was done; start again to go on")
        self._publish(overwrite=overwrite)

    def _publish(self, *, overwrite: bool) -> None:
        publish(self._places, overwrite=overwrite)
        self._list.unlink()
