"""The steps of docs/guide/start.md as written: city, twins, encoder, index, server, query, recall."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .documentation.pages import block_tried_by

pytest.importorskip("mitsuba", reason="the demo city is rendered with Mitsuba: pip install 'daco-serve[demo]'")

if shutil.which("curl") is None:
    pytest.skip("the walk asks the server with curl, which is not on this machine", allow_module_level=True)

# the walk's sizes, cut to what a test can wait for
SMALLER = {
    "--places 200": "--places 8",
    "--size 224": "--size 64 --domains day,night",
    "--batch_size 16": "--batch_size 4",
    "--iters 40000": "--iters 4 --backbone test_resnet --image_size 64 --workers 0",
    "night.jpg": "'night photograph.jpg'",
}


def walk(port: int) -> list[list[str]]:
    """The commands of the walk, smaller, and on a free port."""
    script = block_tried_by("tests/test_chain.py").text.replace("\\\n", " ")
    for written, smaller in {**SMALLER, "8000": str(port)}.items():
        assert written in script, f"the walk no longer says {written}"
        script = script.replace(written, smaller)
    return [shlex.split(line, comments=True) for line in script.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture(scope="module")
def walked(
    tmp_path_factory: pytest.TempPathFactory, commands: Path, port: int
) -> Iterator[dict[str, subprocess.CompletedProcess[str]]]:
    """What each command of the walk came to, by its name; the server runs until the tests are over."""
    folder = tmp_path_factory.mktemp("walk")
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CUDA_VISIBLE_DEVICES": ""}
    outcomes: dict[str, subprocess.CompletedProcess[str]] = {}
    server = None
    try:
        for command in walk(port):
            name = " ".join(command[:2]) if command[0] == "daco-data" else command[0]
            if name == "daco-serve":
                night = sorted((folder / "data/demo/original/domain_b/val").glob("*.jpg"))[0]
                shutil.copy(night, folder / "night photograph.jpg")
                server = subprocess.Popen(command, cwd=folder, env=environment)
                wait_until_ready(port, server)
                continue
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"{command}: {done.stderr}"
            outcomes[name] = done
        yield outcomes
    finally:
        if server:
            server.terminate()
            server.wait(timeout=30)


def wait_until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server stopped"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not get ready")


def test_a_night_photograph_is_answered_with_ranked_places(
    walked: dict[str, subprocess.CompletedProcess[str]], port: int
) -> None:
    answer = json.loads(walked["curl"].stdout)
    matches = answer["matches"]
    assert [match["rank"] for match in matches] == [1, 2, 3, 4, 5]
    similarities = [match["similarity"] for match in matches]
    assert similarities == sorted(similarities, reverse=True)
    for match in matches:
        assert {"rank", "place", "similarity", "latitude", "longitude", "heading", "image"} <= set(match)
        assert -90 <= match["latitude"] <= 90
        assert 0 <= match["heading"] < 360
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{match['image']}", timeout=10) as image:
            assert image.headers["Content-Type"] == "image/jpeg"
            assert image.read(2) == b"\xff\xd8"
    assert answer["location"]["latitude"] == pytest.approx(matches[0]["latitude"], abs=0.01)


def test_recall_of_the_trained_encoder_is_reported_in_three_directions(
    walked: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    report = json.loads(walked["daco-bench"].stdout)
    assert report["dataset"] == "demo"
    assert {row["direction"] for row in report["rows"]} == {"a->b", "b->a", "a<->b"}
    for row in report["rows"]:
        recalls = [row["recall"][f"R@{k}"] for k in (1, 2, 4, 8)]
        assert recalls == sorted(recalls)
        assert 0 <= recalls[0] <= recalls[-1] <= 100
