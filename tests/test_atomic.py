"""A file is there whole or not at all, and nothing else is left behind."""

import contextlib
import errno
import io
import os
import stat
import threading
from pathlib import Path

import pytest

from ddpm_micro.files import atomic
from ddpm_micro.files.atomic import atomic_write


def write(path, text="new", **options):
    with atomic_write(path, **options) as temporary:
        assert temporary.parent == path.resolve().parent
        assert temporary.name.endswith(".tmp")
        temporary.write_text(text)


@pytest.mark.parametrize("overwrite", [False, True])
def test_new_file_appears_with_the_permissions_of_the_umask(tmp_path, overwrite):
    target, plain = tmp_path / "a.json", tmp_path / "plain"
    plain.touch()
    write(target, overwrite=overwrite)
    assert target.read_text() == "new"
    assert target.stat().st_mode == plain.stat().st_mode
    assert sorted(os.listdir(tmp_path)) == ["a.json", "plain"]


def test_nothing_shows_at_the_target_before_the_block_ends(tmp_path):
    target = tmp_path / "a"
    with atomic_write(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"


def test_existing_file_is_refused_in_one_line_or_replaced(tmp_path):
    target = tmp_path / "a"
    target.write_text("old")
    target.chmod(0o640)
    with pytest.raises(FileExistsError, match=r"exists already.*overwrit") as caught:
        write(target)
    assert "\n" not in str(caught.value)
    assert str(target) in str(caught.value)
    assert target.read_text() == "old"
    write(target, overwrite=True)
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("links", [True, False], ids=["hard-links", "no-hard-links"])
def test_one_of_many_racing_writers_wins(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(atomic.os, "link", _fail(errno.EPERM))
    target, start, outcome = tmp_path / "a", threading.Barrier(8), []

    def race(text):
        try:
            with atomic_write(target) as temporary:
                temporary.write_text(text)
                start.wait()  # all have passed the early check
            outcome.append(text)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=race, args=(str(i),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcome) == 1
    assert target.read_text() == outcome[0]
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, error, overwrite):
    target = tmp_path / "a"
    if overwrite:
        target.write_text("old")

    def interrupted():
        with atomic_write(target, overwrite=overwrite) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert os.listdir(tmp_path) == (["a"] if overwrite else [])
    assert not overwrite or target.read_text() == "old"


def _fail(number, *, when=lambda *args: True, otherwise=None):
    def call(*args, **options):
        if when(*args):
            raise OSError(number, os.strerror(number))
        return otherwise(*args, **options)

    return call


@pytest.mark.parametrize(
    ("step", "number"), [("open", errno.EROFS), ("open", errno.EACCES), ("fsync", errno.ENOSPC), ("replace", errno.EIO)]
)
def test_every_failing_step_names_the_target_and_leaves_nothing(tmp_path, monkeypatch, step, number):
    # The suite may run as root, whom no chmod stops, so the system's refusal is played back.
    target = tmp_path / "a.tif"
    target.write_text("old")
    monkeypatch.setattr(atomic.os, step, _fail(number))
    with pytest.raises(OSError, match="could not be written") as caught:
        write(target, overwrite=True)
    monkeypatch.undo()
    assert caught.value.errno == number
    assert str(target) in str(caught.value)
    assert ".tmp" not in str(caught.value)
    assert os.listdir(tmp_path) == ["a.tif"]
    assert target.read_text() == "old"


def test_a_reserved_name_is_freed_when_the_last_step_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "link", _fail(errno.EPERM))
    monkeypatch.setattr(atomic.os, "replace", _fail(errno.EIO))
    with pytest.raises(OSError):
        write(tmp_path / "a")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


def test_numpy_style_errors_without_a_number_are_explained(tmp_path):
    with pytest.raises(OSError, match=r"9 requested and 3 written.*full") as caught, atomic_write(tmp_path / "a"):
        raise OSError("9 requested and 3 written")
    assert str(tmp_path / "a") in str(caught.value)


def test_errors_about_other_files_pass_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_write(tmp_path / "a"):
        (tmp_path / "elsewhere").read_text()
    with pytest.raises(io.UnsupportedOperation, match=r"^not readable"), atomic_write(tmp_path / "a"):
        raise io.UnsupportedOperation("not readable")


@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_are_told_apart(tmp_path, overwrite):
    with pytest.raises(IsADirectoryError, match="got a folder"):
        write(tmp_path, overwrite=overwrite)
    with pytest.raises(FileNotFoundError, match="folder to write into does not exist"):
        write(tmp_path / "missing" / "a", overwrite=overwrite)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", range(1, 5))
def test_files_of_two_runs_never_stand_side_by_side(tmp_path, monkeypatch, number):
    """Stopped before any of its steps, and gone on with."""
    files = [(tmp_path / f".{name}", tmp_path / name) for name in ("mean", "std")]
    for hidden, path in files:
        path.write_text("old")
        hidden.write_text("new")
    calls = []

    def stops(function):
        def step(*arguments, **options):
            calls.append(arguments)
            if len(calls) == number:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "replace", stops(os.replace))
        patch.setattr(Path, "unlink", stops(Path.unlink))
        with contextlib.suppress(KeyboardInterrupt):
            atomic.publish(files, overwrite=True)
    found = {path.name: path.read_text() for _, path in files if path.exists()}
    assert "mean" not in found or found["mean"] == found["std"]
    atomic.publish(files, overwrite=True)
    assert [path.read_text() for _, path in files] == ["new", "new"]
    assert sorted(os.listdir(tmp_path)) == ["mean", "std"]


def test_a_symbolic_link_survives_and_its_file_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / "real", tmp_path / "link"
    link.symlink_to(real)  # dangling at first
    with pytest.raises(FileExistsError):
        write(link)
    for text in ("first", "second"):
        with atomic_write(link, overwrite=True) as temporary:
            assert temporary.parent == real.parent
            temporary.write_text(text)
        assert link.is_symlink()
        assert real.read_text() == text
    assert os.listdir(tmp_path / "far") == ["real"]
    (tmp_path / "x").symlink_to(tmp_path / "y")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    with pytest.raises(OSError, match="circle"):
        write(tmp_path / "x", overwrite=True)


def test_a_name_of_the_greatest_length_works(tmp_path):
    target = tmp_path / ("é" * 125 + ".tiff")
    write(target)
    assert target.read_text() == "new"
