"""FMD from a local copy, and from a real HTTP server that misbehaves in every way we know."""

import gc
import hashlib
import http.server
import io
import logging
import os
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import pytest
import skimage.io
from skimage.metrics import peak_signal_noise_ratio

from ddpm_micro import datasets


def png(image):
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def layout():
    """Two scenes of two draws, 5 x 7 pixels, as {path in the archive: content}."""
    rng, files = np.random.default_rng(0), {}
    for scene in ("B_1st", "A"):
        truth = rng.integers(0, 256, (5, 7), np.uint8)
        for draw in (10, 2):
            files[f"test_mix/raw/{scene}_{draw}.png"] = png(rng.integers(0, 256, (5, 7), np.uint8))
            files[f"test_mix/gt/{scene}_{draw}.png"] = png(truth)
    return files


def tarred(files, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):  # a link to somewhere
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def bomb():
    """An archive whose first image says that it is larger than a gigabyte; the rest is as it should be."""
    info = tarfile.TarInfo("test_mix/raw/A_3.png")
    info.size = 2**30 + 1
    return info.tobuf() + tarred(layout())


def unpacked(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


class Server(http.server.ThreadingHTTPServer):
    """Answers every request with `status` and `body`, promising `surplus` more bytes than it sends."""

    status, body, surplus, requests, untidy = 200, b"", 0, 0, False

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests += 1
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(self.server.body) + self.server.surplus))
            self.end_headers()
            self.wfile.write(self.server.body)

        def log_message(self, *args):
            pass

    RequestHandlerClass = Handler


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A local server as the source of "fmd", a temporary folder as the cache, no local copy."""
    with Server(("127.0.0.1", 0), Server.Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        server.url = f"http://127.0.0.1:{server.server_port}/fmd.tar"
        server.cache = tmp_path / "cache"
        server.serve = lambda sha256=None: monkeypatch.setitem(
            datasets.ARCHIVES, "fmd", datasets.Archive(server.url, "test_mix", sha256)
        )
        server.serve()
        monkeypatch.setattr(datasets.pooch, "os_cache", lambda project: server.cache)
        monkeypatch.delenv(datasets.ENVIRONMENT, raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield server
        server.shutdown()
        thread.join()
    if server.untidy:
        gc.collect()  # or a socket that pooch left open warns in somebody else's test


pytestmark = pytest.mark.filterwarnings("ignore:unclosed.*socket:ResourceWarning")  # after a failed download


def check_layout(data):
    assert [(scene.name, scene.draws) for scene in data.scenes] == [("A", (2, 10)), ("B_1st", (2, 10))]
    files = layout()
    for scene in data.scenes:
        assert scene.raw.shape == (2, 5, 7)
        assert scene.raw.dtype == scene.truth.dtype == np.uint8
        assert np.array_equal(scene.truth, skimage.io.imread(io.BytesIO(files[f"test_mix/gt/{scene.name}_2.png"])))
        for frame, draw in zip(scene.raw, scene.draws):
            wanted = skimage.io.imread(io.BytesIO(files[f"test_mix/raw/{scene.name}_{draw}.png"]))
            assert np.array_equal(frame, wanted)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("verified", [True, False])
def test_a_download_is_extracted_once_and_said_to_be_verified_or_not(server, caplog, capfd, mode, verified):
    server.body = tarred(layout(), mode)
    sha256 = hashlib.sha256(server.body).hexdigest()
    server.serve(sha256 if verified else None)
    with caplog.at_level(logging.WARNING):
        check_layout(datasets.load("fmd"))
    assert (f"unverified: no checksum was published; its sha256 is {sha256}" in caplog.text) is not verified
    assert "100%" in capfd.readouterr().err  # the progress bar
    server.status = 500
    check_layout(datasets.load("fmd"))
    assert server.requests == 1
    assert os.listdir(server.cache / "fmd") == ["test_mix"]
    assert datasets.fetch("fmd") == server.cache / "fmd" / "test_mix"


def without(name):
    return {key: value for key, value in layout().items() if key != name}


GOOD, GZIP = tarred(layout()), tarred(layout(), "w:gz")
FAULTS = {
    "404": ({"status": 404}, ConnectionError, "got 404 .*Not Found"),
    "500": ({"status": 500, "body": GOOD}, ConnectionError, "got 500"),
    "ends before it said": ({"body": GOOD[:3000], "surplus": 5000}, ConnectionError, "IncompleteRead.*try again"),
    "nothing": ({"body": b""}, ValueError, "damaged one"),
    "no tar": ({"body": b"<html>please log in</html>" * 99}, ValueError, "damaged one"),
    "cut in a member": ({"body": GOOD[:1700]}, ValueError, "damaged one .*unexpected end"),
    "cut between members": ({"body": GOOD[: GOOD.rindex(b"test_mix/")]}, ValueError, "damaged one .*ends too early"),
    "cut gzip": ({"body": GZIP[:-40]}, ValueError, "damaged one"),
    "spoilt gzip": ({"body": GZIP[:500] + bytes(99) + GZIP[599:]}, ValueError, "damaged one"),
    "wrong gzip checksum": ({"body": GZIP[:-8] + bytes(8)}, ValueError, "damaged one .*CRC"),
    "a member twice": ({"body": tarred(layout())[:1024] + GOOD}, ValueError, "damaged one .*occurs twice"),
    "no truth": ({"body": tarred(without("test_mix/gt/A_2.png"))}, ValueError, r"expected gt/A_2\.png, got none"),
    "no frame": ({"body": tarred(without("test_mix/raw/A_2.png"))}, ValueError, r"expected raw/A_2\.png, got none"),
    "another layout": ({"body": tarred({"train/a.png": b""})}, ValueError, "fmd.tar: test_mix: expected raw/.*no raw"),
    "a link for a frame": (
        {"body": tarred(layout() | {"test_mix/raw/A_2.png": "/etc/hostname"})},
        ValueError,
        r"expected raw/A_2\.png, got none",
    ),
    "a bomb": (
        {"body": bomb()},
        ValueError,
        "damaged one .*hold more than 1073741824 bytes",
    ),
    "a broken image": ({"body": tarred(layout() | {"test_mix/raw/A_2.png": b"PNG"})}, ValueError, "A_2.png.*damaged"),
}


@pytest.mark.parametrize(("fault", "error", "match"), FAULTS.values(), ids=FAULTS)
def test_a_bad_download_leaves_nothing_and_the_next_call_recovers(server, fault, error, match):
    for name, value in fault.items():
        setattr(server, name, value)
    with pytest.raises(error, match=match) as caught:
        datasets.fetch("fmd", progress=False)
    assert "\n" not in str(caught.value)
    assert server.url in str(caught.value)
    assert ".download" not in str(caught.value)
    assert os.listdir(server.cache / "fmd") == []
    server.status, server.body, server.surplus, server.untidy = 200, GOOD, 0, error is ConnectionError
    check_layout(datasets.load("fmd"))


def test_a_wrong_hash_is_named_and_nothing_is_kept(server):
    server.body = GOOD
    server.serve("0" * 64)
    came = hashlib.sha256(GOOD).hexdigest()
    with pytest.raises(ValueError, match=f"expected sha256 {'0' * 64}, got {came}; deleted, try again"):
        datasets.fetch("fmd", progress=False)
    assert os.listdir(server.cache / "fmd") == []


def test_a_server_out_of_reach_is_one_line(server, monkeypatch):
    archive = datasets.Archive("http://127.0.0.1:1/fmd.tar", "test_mix")
    monkeypatch.setitem(datasets.ARCHIVES, "fmd", archive)
    with pytest.raises(ConnectionError, match="DDPM_MICRO_DATA") as caught:
        datasets.fetch("fmd", progress=False)
    assert "\n" not in str(caught.value)


def test_an_interrupted_download_leaves_nothing(server, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    server.body = GOOD
    monkeypatch.setattr(datasets, "_extract", interrupt)
    with pytest.raises(KeyboardInterrupt):
        datasets.fetch("fmd", progress=False)
    assert os.listdir(server.cache / "fmd") == []


def test_processes_that_download_at_once_agree(server, monkeypatch):
    server.body, together, check = GOOD, threading.Barrier(4), datasets._load_folder
    monkeypatch.setattr(datasets, "_load_folder", lambda folder: (together.wait(), check(folder)))
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: datasets.fetch("fmd", progress=False), range(4)))
    monkeypatch.undo()
    assert set(folders) == {server.cache / "fmd" / "test_mix"}
    assert os.listdir(server.cache / "fmd") == ["test_mix"]
    check_layout(datasets.load("fmd", server.cache))


def test_an_archive_cannot_write_outside_its_folder(server, tmp_path):
    evil = ["../evil.png", "/tmp/ddpm_micro_evil.png", "test_mix/raw/../../../evil.png", "test_mix/raw/sub/evil.png"]
    evil += ["test_mix/gt/..\\evil.png", "test_mix/raw/._A_2.png", "other/test_mix/raw/evil_1.png"]
    server.body = tarred(layout() | dict.fromkeys(evil, b"x") | {"test_mix/raw": "/tmp"})
    check_layout(datasets.load("fmd"))
    assert not os.path.exists("/tmp/ddpm_micro_evil.png")
    written = [name for _, _, names in os.walk(tmp_path) for name in names]
    assert sorted(written) == sorted(os.path.basename(name) for name in layout())


@pytest.mark.parametrize("by", ["root", "environment"])
@pytest.mark.parametrize("inside", ["fmd", "."])
def test_a_local_copy_is_used_without_the_internet(server, tmp_path, monkeypatch, by, inside):
    unpacked(tmp_path / "copy" / inside, layout() | {"test_mix/raw/._A_2.png": b"left there by macOS"})
    if by == "root":
        monkeypatch.setenv(datasets.ENVIRONMENT, str(tmp_path / "elsewhere"))  # an argument comes first
        check_layout(datasets.load("fmd", tmp_path / "copy"))
    else:
        monkeypatch.setenv(datasets.ENVIRONMENT, str(tmp_path / "copy"))
        check_layout(datasets.load("fmd"))
    assert server.requests == 0


@pytest.mark.parametrize("by", ["root", "environment"])
def test_a_named_folder_without_the_data_is_an_error_not_a_download(server, tmp_path, monkeypatch, by):
    monkeypatch.setenv(datasets.ENVIRONMENT, str(tmp_path))
    word = "root" if by == "root" else datasets.ENVIRONMENT
    with pytest.raises(FileNotFoundError, match=f"test_mix, got neither; correct {word}"):
        datasets.load("fmd", tmp_path if by == "root" else None)
    assert server.requests == 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"test_mix/raw/odd.png": png(np.zeros((5, 7), "u1")), "test_mix/gt/odd.png": b""}, "got odd.png"),
        ({"test_mix/gt/A_2.png": png(np.zeros((5, 7), "u1"))}, "one ground truth for all draws of A, got several"),
        ({"test_mix/raw/A_2.png": png(np.zeros((7, 5), "u1"))}, "one size in scene A"),
        ({"test_mix/raw/A_2.png": png(np.zeros((5, 7, 3), "u1"))}, r"8-bit grey, got uint8 of shape \(5, 7, 3\)"),
        ({"test_mix/raw/A_2.png": png(np.zeros((5, 7), "u2"))}, "8-bit grey, got uint16"),
        ({"test_mix/raw/A_2.png": layout()["test_mix/raw/A_2.png"][:-30]}, "A_2.png: expected a PNG image"),
    ],
)
def test_a_spoilt_copy_is_refused_in_one_line(tmp_path, change, match):
    with pytest.raises(ValueError, match=match) as caught:
        datasets.load("fmd", unpacked(tmp_path, layout() | change))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["fmdd", "FMD", "", "celegans"])
def test_unknown_names_get_the_near_ones(name):
    with pytest.raises(ValueError, match=f"no data set '{name}'; expected one of .*fmd"):
        datasets.load(name)


def test_the_public_archive_is_registered_as_unverified():
    archive = datasets.ARCHIVES["fmd"]
    assert (archive.url, archive.sha256) == ("https://ndownloader.figshare.com/files/43648128", None)


@pytest.fixture(scope="module")
def fmd(fmd_root):
    return datasets.load("fmd", fmd_root)


def test_the_real_scenes_are_as_published(fmd):
    assert len(fmd.scenes) >= 6
    for scene in fmd.scenes:
        assert scene.draws == (1, 2, 3, 4)
        assert scene.raw.shape == (4, 512, 512)
        assert scene.truth.shape == (512, 512)
        assert len({frame.tobytes() for frame in scene.raw}) == (3 if scene.name == "WideField_BPAE_B" else 4)
    assert "matplotlib" not in sys.modules or "ddpm_micro.teach" in sys.modules


def test_real_frames_are_noisy_and_their_mean_is_less_so(fmd):
    def psnr(scene, image):
        return peak_signal_noise_ratio(scene.truth / 255.0, image / 255.0, data_range=1)

    single = {scene.name: np.mean([psnr(scene, frame) for frame in scene.raw]) for scene in fmd.scenes}
    assert np.mean(list(single.values())) == pytest.approx(27.22, abs=1.0)  # published, over all 12 scenes
    assert single["Confocal_FISH"] == min(single.values())
    for scene, other in zip(fmd.scenes, fmd.scenes[1:] + fmd.scenes[:1]):
        assert psnr(scene, scene.raw.mean(0)) > single[scene.name] + 1.0
        assert psnr(scene, other.raw[0]) < single[scene.name] - 1.0  # frames and truths are not mixed up
