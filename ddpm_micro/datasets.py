"""Real data: noisy fluorescence images with a trustworthy ground truth, from a local copy or the internet."""

from __future__ import annotations

import gzip
import io
import logging
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
import skimage.io

from ddpm_micro.choices import did_you_mean

ENVIRONMENT = "DDPM_MICRO_DATA"
MOST_BYTES = 2**30  # the images of the archives below hold a tenth of it
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """A data set as it lies on a server."""

    url: str  # of a tar file
    folder: str  # its folder that holds raw/ and gt/
    sha256: str | None = None  # of the tar file; None if nobody published it: the download is then unverified


# Zhang et al., CVPR 2019, doi 10.7274/r0-ed2r-4052, CC BY-SA 4.0; figshare record 24744648. No checksum of this file
# was found: whoever downloads it from a source they trust should enter the one that fetch() reports.
ARCHIVES = {"fmd": Archive("https://ndownloader.figshare.com/files/43648128", "test_mix")}


@dataclass(frozen=True, eq=False)
class Scene:
    """One field of view: several noisy frames and the one truth they share."""

    name: str  # microscope, specimen and channel, such as "Confocal_FISH"
    raw: np.ndarray  # (D, H, W), uint8: noisy frames in grey levels, each with its own noise
    truth: np.ndarray  # (H, W), uint8: mean of 50 frames of the same field
    draws: tuple[int, ...]  # the data set's number of each frame


@dataclass(frozen=True, eq=False)
class FMD:
    """The mixed test set of the Fluorescence Microscopy Denoising data, by scene.

    The draws of a scene share one ground truth, so a result over this set rests on n = ``len(scenes)`` independent
    images, not on the number of frames. Never divide a scene between training and test. Draws are not promised to
    differ: 1 and 2 of WideField_BPAE_B are the same frame.
    """

    scenes: tuple[Scene, ...]  # in the order of their names


def load(name: str, root: str | os.PathLike[str] | None = None) -> FMD:
    """Load a real data set ("fmd") into memory; `fetch` finds or downloads it.

    Raises
    ------
    ValueError
        Also for a folder of another layout, a frame without truth or a truth without frame, a damaged image, an image
        that is not 8-bit grey, sizes or truths that differ within a scene.
    """
    return _load_folder(fetch(name, root))


def fetch(name: str, root: str | os.PathLike[str] | None = None, *, progress: bool = True) -> Path:
    """Find a data set ("fmd") on this computer or download it; returns the folder with ``raw/`` and ``gt/``.

    Parameters
    ----------
    name : str
    root : path-like, optional
        A folder that holds ``fmd/test_mix/`` or ``test_mix/``. Without it the environment variable
        ``DDPM_MICRO_DATA`` names that folder; without either the cache of the operating system is used, and filled
        from the internet the first time.
    progress : bool
        Whether a download shows a progress bar on stderr.

    Raises
    ------
    FileNotFoundError
        `root` or the environment variable names a folder without the data.
    ConnectionError
        The server is out of reach, refuses, or ends before the file does.
    ValueError
        Unknown name; a download with the wrong hash, that is no whole tar file, or holds something else.
    """
    if name not in ARCHIVES:
        raise ValueError(f"no data set {name!r}; expected one of {', '.join(ARCHIVES)}{did_you_mean(name, ARCHIVES)}")
    archive = ARCHIVES[name]
    given = root if root is not None else os.environ.get(ENVIRONMENT) or None
    if given is None:
        folder = Path(pooch.os_cache("ddpm_micro")) / name / archive.folder
        if not folder.is_dir():
            _download(archive, folder, progress)
        return folder
    top = Path(given).expanduser()
    places = [top / name / archive.folder, top / archive.folder]
    for folder in places:
        if folder.is_dir():
            return folder
    source = "root" if root is not None else ENVIRONMENT
    raise FileNotFoundError(
        f"expected {places[0]} or {places[1]}, got neither; correct {source} or leave it out to download {name}"
    )


def _download(archive: Archive, folder: Path, progress: bool) -> None:
    """Make `folder` from the archive; it appears whole, in one step, after everything about it was checked."""
    import requests  # as pooch does: it takes a while, and only a download needs it

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder.parent) as temporary:
            tar, fresh = Path(temporary) / "archive.tar", Path(temporary) / archive.folder
            # Larger chunks than pooch's 1 kB, each of which it flushes to disk.
            pooch.HTTPDownloader(progressbar=progress, chunk_size=2**18, timeout=30)(archive.url, str(tar), None)
            sha256 = pooch.file_hash(str(tar))
            if archive.sha256 is not None and sha256 != archive.sha256:
                raise ValueError(f"{archive.url}: expected sha256 {archive.sha256}, got {sha256}; deleted, try again")
            _extract(tar, fresh, archive)
            try:
                _load_folder(fresh)
            except ValueError as error:  # the folder it names is about to go
                raise ValueError(str(error).replace(str(fresh), f"{archive.url}: {archive.folder}")) from None
            if archive.sha256 is None:
                _log.warning("%s is unverified: no checksum was published; its sha256 is %s", archive.url, sha256)
            try:
                os.replace(fresh, folder)
            except OSError:
                if not folder.is_dir():  # else another process was faster
                    raise
    except requests.RequestException as error:
        reason = " ".join(str(error).split())[:200]
        raise ConnectionError(
            f"{archive.url}: expected the data set, got {reason}; nothing was kept: try again or let"
            f" {ENVIRONMENT} name a folder with a copy"
        ) from None


def _extract(tar: Path, fresh: Path, archive: Archive) -> None:
    """Take the images out of a tar file, by plain name and content alone, so that nothing else can come with them."""
    wanted = re.compile(rf"(?:\./)?{re.escape(archive.folder)}/(raw|gt)/(\w[\w.-]*\.png)")
    total = 0
    for part in ("raw", "gt"):
        (fresh / part).mkdir(parents=True)
    try:
        with tarfile.open(tar) as members:
            for member in members:
                found = wanted.fullmatch(member.name)
                if not (found and member.isreg()):
                    continue
                target = fresh / found[1] / found[2]
                if target.exists():
                    raise tarfile.ReadError(f"{member.name} occurs twice")
                total += member.size
                if total > MOST_BYTES:  # before anything of that size is unpacked
                    raise tarfile.ReadError(f"its images hold more than {MOST_BYTES} bytes")
                with members.extractfile(member) as source, open(target, "xb") as file:
                    shutil.copyfileobj(source, file)
            # A tar file ends in zeros. Python's reader does not ask for them, so one cut between two members looks
            # whole to it; and reading on to the very end makes gzip compare its checksum.
            members.fileobj.seek(members.offset)
            if members.fileobj.read(512) != bytes(512):
                raise tarfile.ReadError("it ends too early")
            while members.fileobj.read(2**20):
                pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{archive.url}: expected a whole tar file, got a damaged one ({reason}); try again") from None


def _load_folder(folder: Path) -> FMD:
    names: dict[str, dict[int, str]] = {}
    found = {part: {file.name for file in (folder / part).glob("[!.]*.png")} for part in ("raw", "gt")}
    if not found["raw"]:
        raise ValueError(
            f"{folder}: expected raw/<scene>_<draw>.png and gt/<scene>_<draw>.png, got no raw image; "
            "point at the folder as the archive has it"
        )
    odd = sorted(found["raw"] ^ found["gt"])
    if odd:
        lacking = "gt" if odd[0] in found["raw"] else "raw"
        raise ValueError(f"{folder}: expected {lacking}/{odd[0]}, got none ({len(odd)} such); get it again")
    for file in sorted(found["raw"]):
        match = re.fullmatch(r"(.+)_(\d+)\.png", file)
        if not match:
            raise ValueError(f"{folder}: expected names <scene>_<draw>.png, got {file}; remove it")
        names.setdefault(match[1], {})[int(match[2])] = file
    return FMD(tuple(_load_scene(folder, name, dict(sorted(files.items()))) for name, files in sorted(names.items())))


def _load_scene(folder: Path, name: str, files: dict[int, str]) -> Scene:
    raw, truth = ([_grey(folder / part / file) for file in files.values()] for part in ("raw", "gt"))
    if len({image.shape for image in raw + truth}) > 1:
        raise ValueError(f"{folder}: expected images of one size in scene {name}, got several; get it again")
    if any(not np.array_equal(truth[0], other) for other in truth):
        raise ValueError(f"{folder}: expected one ground truth for all draws of {name}, got several; get it again")
    return Scene(name, np.stack(raw), truth[0], tuple(files))


def _grey(path: Path) -> np.ndarray:
    try:
        image = skimage.io.imread(io.BytesIO(path.read_bytes()))  # given a path, it leaves damaged files open
    except Exception as error:  # a damaged PNG can raise nearly anything
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path}: expected a PNG image, got a damaged one ({reason}); get it again") from None
    if image.ndim != 2 or image.dtype != np.uint8:
        raise ValueError(f"{path}: expected 8-bit grey, got {image.dtype} of shape {image.shape}; get it again")
    return image
