"""`/v1/track`: frames in, a track out; authentication, errors, and no effect on other clients."""

import csv
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import gpxpy
import httpx
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from daco_index.build import BuildOptions, build_index
from daco_index.search.catalog import Entry
from daco_serve.client import AsyncClient, Client, Refused, Unreachable
from daco_serve.client.track import TrackFrame
from daco_serve.engine.query_embedding import QueryEmbedder
from daco_serve.engine.tracking import FrameEvidence, Odometry, States, Tracker, TrackEstimate
from daco_serve.http.protocol import websocket_limits
from daco_serve.http.track_schemas import FrameHeader, SmoothedTrack, TrackAnswer, TrackSettings
from daco_serve.http.tracking import conversation
from daco_serve.http.tracking.conversation import MOST_FAILURES
from daco_serve.operation.keys import KeyFile

from ..recording_files import write_video
from .conftest import hosted
from .test_server import daco_serve, one_sentence


@pytest.fixture(scope="module")
def own_server(index: Path) -> Iterator[str]:
    with hosted(index, track_idle_seconds=2.0, max_tracks=3, max_upload_bytes=300_000, max_k=50) as address:
        yield address


def follow(address: str, **more: Any) -> ClientConnection:
    return connect(address.replace("http", "ws") + "/v1/track", **more)


def ask(track: ClientConnection, frame: bytes | str) -> dict[str, Any]:
    track.send(frame)
    answer: dict[str, Any] = json.loads(track.recv(timeout=20))
    return answer


def test_each_frame_is_answered_with_the_track_and_its_own_estimate(own_server: str, photographs: Path) -> None:
    with follow(own_server) as track:
        track.send(json.dumps({"type": "settings", "speed": 20, "k": 2}))
        for number in range(4):
            track.send(json.dumps({"type": "frame", "timestamp": float(number)}))
            answer = ask(track, (photographs / f"{number}.png").read_bytes())
    assert answer["type"] == "answer"
    assert answer["frame"] == 4
    assert answer["timestamp"] == 3.0
    assert answer["track"]["location"]["latitude"] == pytest.approx(35 + 30 / 111195, abs=15 / 111195)
    assert answer["single"]["matches"][0]["place"] == "place 3"
    assert len(answer["single"]["matches"]) == 2


def test_a_track_is_smoothed_when_it_is_finished(own_server: str, photographs: Path) -> None:
    with follow(own_server) as track:
        track.send(json.dumps({"type": "settings", "speed": 20, "smooth": True, "drop": False}))
        for number in range(5):
            track.send(json.dumps({"type": "frame", "timestamp": float(number)}))
            track.send((photographs / f"{number}.png").read_bytes())
        track.send(json.dumps({"type": "finish"}))
        answers = [json.loads(track.recv(timeout=20)) for _ in range(6)]
        with pytest.raises(ConnectionClosed) as closed:
            track.recv(timeout=5)
    assert [answer["type"] for answer in answers] == ["answer"] * 5 + ["finished"]
    assert answers[-1]["path"] == sorted(answers[-1]["path"])
    assert len(answers[-1]["frames"]) == 5
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000


def test_if_frames_arrive_too_fast_the_newest_is_answered_and_the_others_are_counted(
    own_server: str, photographs: Path
) -> None:
    frames = [(photographs / f"{number % 6}.png").read_bytes() for number in range(30)]
    with follow(own_server) as track:
        for frame in frames:
            track.send(frame)
        answers = []
        while True:
            answers.append(json.loads(track.recv(timeout=20)))
            if len(answers) + answers[-1]["dropped"] == len(frames):
                break
    assert answers[-1]["dropped"] > 0
    assert answers[-1]["single"]["matches"][0]["place"] == "place 5"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"not a photograph", "not_an_image"),
        (b"", "no_image"),
        ("[1]", "invalid_request"),
        ("{", "invalid_request"),
        ("[" * 5000, "invalid_request"),
        ('{"type": "dance"}', "invalid_request"),
        ('{"type": "frame", "odometry": {"forward": NaN}}', "invalid_request"),
        ('{"type": "frame", "timestamp": 1e999}', "invalid_request"),
        ('{"type": "settings", "speed": -1}', "invalid_request"),
        ('{"type": "settings", "k": 60}', "bad_k"),
        (f'{{"type": "frame", "timestamp": {" " * 70_000}1}}', "json_too_large"),
    ],
)
def test_an_invalid_message_is_answered_and_the_track_continues(
    own_server: str, photographs: Path, message: bytes | str, code: str
) -> None:
    with follow(own_server) as track:
        assert ask(track, message)["error"]["code"] == code
        assert ask(track, (photographs / "1.png").read_bytes())["type"] == "answer"


def test_many_invalid_messages_in_a_row_end_the_connection(own_server: str) -> None:
    with follow(own_server) as track, pytest.raises(ConnectionClosed) as closed:
        for _ in range(20):
            ask(track, "{")
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1003


def test_errors_of_the_server_and_rate_limits_do_not_end_the_connection(
    index: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph = (photographs / "1.png").read_bytes()
    with hosted(index, rate_limit="2/minute") as address, follow(address) as track:
        codes = [ask(track, photograph).get("error", {}).get("code") for _ in range(2 + 2 * MOST_FAILURES)]
        assert codes == [None, None] + 2 * MOST_FAILURES * ["too_many_requests"]
    with hosted(index) as address, follow(address) as track:
        with monkeypatch.context() as broken:
            broken.setattr(QueryEmbedder, "prepare", fail)
            for _ in range(2 * MOST_FAILURES):
                assert ask(track, photograph)["error"]["code"] == "internal_error"
        assert ask(track, photograph)["frame"] == 1


def test_silence_and_frames_that_are_too_large_end_the_connection(own_server: str) -> None:
    with follow(own_server) as track:
        with pytest.raises(ConnectionClosed) as closed:
            track.recv(timeout=20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    with follow(own_server) as track:
        with pytest.raises(ConnectionClosed) as closed:
            track.send(b"x" * 400_000)
            track.recv(timeout=20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_the_number_of_cameras_is_limited_and_places_become_free(own_server: str, photographs: Path) -> None:
    time.sleep(0.2)  # until the tests before have left
    with ExitStack() as stack:
        tracks = [stack.enter_context(follow(own_server)) for _ in range(3)]
        with pytest.raises(InvalidStatus) as refused, follow(own_server):
            pass
        assert refused.value.response.status_code == 503
        assert json.loads(refused.value.response.body or b"")["error"]["code"] == "too_busy"
        tracks[0].socket.close()  # a client that is killed says no goodbye
        until = time.monotonic() + 10
        while True:
            try:
                with follow(own_server) as track:
                    assert ask(track, (photographs / "1.png").read_bytes())["type"] == "answer"
                break
            except InvalidStatus:
                assert time.monotonic() < until
                time.sleep(0.1)


def test_a_client_with_several_cameras_gives_a_place_to_a_client_without(
    index: Path, photographs: Path, tmp_path: Path
) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    fleet, robot, other = (
        {"additional_headers": {"Authorization": f"Bearer {keys.add(name)}"}} for name in ("fleet", "robot", "other")
    )
    photograph = (photographs / "1.png").read_bytes()
    with hosted(index, keys=keys.path, max_tracks=3) as address, ExitStack() as stack:
        cameras = [stack.enter_context(follow(address, **fleet)) for _ in range(3)]
        for camera in cameras:
            ask(camera, photograph)
        assert ask(stack.enter_context(follow(address, **robot)), photograph)["type"] == "answer"
        assert json.loads(cameras[2].recv(timeout=20))["error"]["code"] == "track_gave_way"  # the newest
        with pytest.raises(ConnectionClosed) as closed:
            cameras[2].recv(timeout=20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013
        assert ask(cameras[0], photograph)["frame"] == 2
        ask(stack.enter_context(follow(address, **other)), photograph)
        assert json.loads(cameras[1].recv(timeout=20))["error"]["code"] == "track_gave_way"
        for someone in (fleet, robot, other):  # now all have one each
            with pytest.raises(InvalidStatus), follow(address, **someone):
                pass


def test_tracks_of_an_unknown_index_or_address_are_rejected(own_server: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(own_server.replace("http", "ws") + "/v1/track?index=harbour"):
        pass
    assert refused.value.response.status_code == 404
    with pytest.raises(InvalidStatus) as refused, connect(own_server.replace("http", "ws") + "/v1/query"):
        pass
    assert refused.value.response.status_code in (404, 405)


def test_a_track_needs_a_key_and_cannot_be_opened_by_another_site(index: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = KeyFile(keys).add("robot")
    with hosted(index, keys=keys) as address:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(InvalidStatus) as refused, follow(address, additional_headers=headers):
                pass
            assert refused.value.response.status_code == 401
        with follow(address, additional_headers={"Authorization": f"Bearer {key}"}) as track:
            assert ask(track, "{")["error"]["code"] == "invalid_request"
    with hosted(index) as address:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises(InvalidStatus) as refused, follow(address, additional_headers=headers):
                pass
            assert refused.value.response.status_code in (403, 421, 400)


def test_a_browser_sends_its_key_as_a_subprotocol_and_gets_the_reason_of_a_rejection(
    index: Path, photographs: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    key = KeyFile(keys).add("phone")
    browser = {"subprotocols": ["daco.track", f"daco.key.{key}"]}
    with hosted(index, keys=keys, max_tracks=1) as address:
        for offered in (["daco.track"], ["daco.track", "daco.key.wrong"], ["daco.track", "daco.key."]):
            with pytest.raises(InvalidStatus) as refused, follow(address, subprotocols=offered):
                pass
            assert refused.value.response.status_code == 401
        with follow(address, **browser) as track:
            assert track.subprotocol == "daco.track"
            assert ask(track, (photographs / "1.png").read_bytes())["type"] == "answer"
            with follow(address, **browser) as second, pytest.raises(ConnectionClosed) as closed:
                assert json.loads(second.recv(timeout=20))["error"]["code"] == "too_busy"
                second.recv(timeout=20)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013


def test_frames_of_a_track_count_as_queries(index: Path, photographs: Path) -> None:
    with hosted(index, rate_limit="3/minute") as address, follow(address) as track:
        answers = [ask(track, (photographs / "1.png").read_bytes()) for _ in range(5)]
        assert [answer["type"] for answer in answers] == ["answer"] * 3 + ["error"] * 2
        assert answers[-1]["error"]["code"] == "too_many_requests"


def test_a_new_generation_is_loaded_without_losing_the_track(
    own_index: Path, photographs: Path, encoder_folder: Path
) -> None:
    with hosted(own_index, reload_seconds=0.2) as address, follow(address) as track:
        for number in range(3):
            before = ask(track, (photographs / f"{number}.png").read_bytes())
        build_index(str(photographs), str(encoder_folder), own_index, BuildOptions(device="cpu", progress=False))
        until = time.monotonic() + 20
        while httpx.get(f"{address}/v1/indexes").json()["indexes"][0]["generation"] == 1:
            assert time.monotonic() < until
            time.sleep(0.1)
        after = ask(track, (photographs / "3.png").read_bytes())
    assert after["single"]["index"]["generation"] > before["single"]["index"]["generation"]
    assert after["frame"] == 4
    assert after["track"]["status"] == before["track"]["status"] == "tracking"


def test_the_client_follows_a_camera(own_server: str, photographs: Path) -> None:
    frames = [TrackFrame(photographs / f"{number}.png", FrameHeader(timestamp=float(number))) for number in range(4)]
    with Client(own_server) as client:
        answers = list(client.track([*frames, b"rubbish"], TrackSettings(speed=20, smooth=True)))
    assert [type(answer) for answer in answers] == [TrackAnswer] * 4 + [Refused, SmoothedTrack]
    assert isinstance(answers[3], TrackAnswer)
    assert answers[3].timestamp == 3.0
    assert answers[3].track.location is not None
    with pytest.raises(Refused) as refused:
        list(Client(own_server, index="harbour").track(frames))
    assert refused.value.code == "unknown_index"
    with pytest.raises(Unreachable):
        list(Client("http://127.0.0.1:9").track(frames))


@pytest.mark.anyio
async def test_the_asynchronous_client_accepts_an_asynchronous_iterator(own_server: str, photographs: Path) -> None:
    async def frames() -> AsyncIterator[Path]:
        for number in range(3):
            yield photographs / f"{number}.png"

    async with AsyncClient(own_server) as client:
        answers = [answer async for answer in client.track(frames(), TrackSettings(drop=False))]
    assert [answer.frame for answer in answers if isinstance(answer, TrackAnswer)] == [1, 2, 3]


@pytest.mark.parametrize("form", [".gpx", ".geojson", ".csv"])
def test_the_command_writes_the_track_of_a_folder(
    own_server: str, photographs: Path, tmp_path: Path, form: str
) -> None:
    ride = tmp_path / "ride"
    ride.mkdir()
    for number in range(4):
        (ride / f"{8 + number}.png").write_bytes((photographs / f"{number}.png").read_bytes())  # 8, 9, 10, 11
    out = tmp_path / f"ride{form}"
    done = daco_serve("track", ride, "--url", own_server, "--out", out, "--speed", 20)
    assert done.returncode == 0, done.stderr
    if form == ".gpx":
        (segment,) = gpxpy.parse(out.read_text()).tracks[0].segments
        latitudes = [point.latitude for point in segment.points]
    elif form == ".geojson":
        latitudes = [feature["geometry"]["coordinates"][1] for feature in json.loads(out.read_text())["features"]]
    else:
        latitudes = [float(row["latitude"]) for row in csv.DictReader(out.read_text().splitlines())]
    assert len(latitudes) == 4
    assert latitudes == sorted(latitudes)


def test_the_command_writes_the_track_of_a_video(own_server: str, photographs: Path, tmp_path: Path) -> None:
    pytest.importorskip("av")
    pictures = [Image.open(photographs / f"{number}.png").convert("RGB") for number in range(1, 5)]
    video = write_video(tmp_path / "ride.mp4", [picture for picture in pictures for _ in range(5)])  # each 0.5 s
    out = tmp_path / "ride.csv"
    done = daco_serve("track", video, "--url", own_server, "--out", out, "--speed", 30, "--seconds", 0.5)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [float(row["seconds"]) for row in rows] == [0, 0.5, 1, 1.5]
    assert [row["place"] for row in rows] == ["place 1", "place 2", "place 3", "place 4"]
    (tmp_path / "broken.mp4").write_bytes(video.read_bytes()[:300])
    assert "cannot be read as a video" in one_sentence(daco_serve("track", tmp_path / "broken.mp4", "--out", out))


def test_the_command_reports_invalid_input(own_server: str, tmp_path: Path) -> None:
    absent = daco_serve("track", tmp_path / "none", "--out", "a.gpx")
    assert "neither a folder of frames nor a video" in one_sentence(absent)
    assert "--out" in one_sentence(daco_serve("track", tmp_path, "--out", "a.kml"))
    assert "no photographs" in one_sentence(daco_serve("track", tmp_path, "--out", "a.gpx"))


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the filter is told between frames, one for each of them."""
    told: list[float] = []

    def update(tracker: Tracker, evidence: FrameEvidence, seconds: float, odometry: Odometry | None) -> TrackEstimate:
        told.append(seconds)
        return original(tracker, evidence, seconds, odometry)

    original = Tracker.update
    monkeypatch.setattr(Tracker, "update", update)
    return told


def test_extreme_timestamps_do_no_harm(own_server: str, photographs: Path, times: list[float]) -> None:
    with follow(own_server) as track:
        for timestamp in (-1e308, 1e308, -1e308, -1e308 + 1e300):
            track.send(json.dumps({"type": "frame", "timestamp": timestamp}))
            assert ask(track, (photographs / "1.png").read_bytes())["type"] == "answer"
    assert times == [0, 86400, 0, 86400]


def test_frames_with_and_without_a_timestamp_are_not_mixed(
    own_server: str, photographs: Path, times: list[float]
) -> None:
    with follow(own_server) as track:
        for timestamp in (1000.0, 1030.0, None, None, 2000.0, 2004.0):
            if timestamp is not None:
                track.send(json.dumps({"type": "frame", "timestamp": timestamp}))
            ask(track, (photographs / "1.png").read_bytes())
    assert times[:2] == [0.0, 30.0] and times[5] == 4.0
    assert all(0 < seconds < 20 for seconds in times[2:5])  # as they arrived


def test_a_frame_that_waits_counts_as_an_upload_until_it_is_answered(
    index: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    original = QueryEmbedder.prepare

    def prepare(embedder: QueryEmbedder, *given: Any) -> Any:
        begun.set()
        assert go_on.wait(20)
        return original(embedder, *given)

    small = (photographs / "1.png").read_bytes()
    large = small + bytes(400_000 - len(small))
    sizes = {"max_upload_bytes": 500_000, "max_batch_bytes": 1_000_000, "upload_memory": 1_500_000}
    with hosted(index, **sizes) as address, follow(address) as track, follow(address) as second:
        before = metric(address, "daco_upload_bytes")
        dropped = 'daco_track_frames_total{outcome="dropped"}'
        dropped_before = metric(address, dropped)
        monkeypatch.setattr(QueryEmbedder, "prepare", prepare)
        track.send(large)
        assert begun.wait(20)
        for _ in range(3):  # of which the newest waits
            track.send(large)
        wait_until(lambda: metric(address, dropped) == dropped_before + 2)
        second.send(large)
        wait_until(lambda: metric(address, "daco_upload_bytes") == before + 3 * len(large))
        second.send(large)  # for which there is no room
        with pytest.raises(ConnectionClosed) as closed:
            second.recv(timeout=20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013
        go_on.set()
        for _ in range(2):
            answer = json.loads(track.recv(timeout=20))
        assert answer["dropped"] == 2
        wait_until(lambda: metric(address, "daco_upload_bytes") == before)


def test_endless_messages_hold_at_most_the_memory_of_uploads(index: Path, photographs: Path) -> None:
    half = b"\x82\xff" + (900_000).to_bytes(8, "big") + bytes(4) + bytes(450_000)  # of a frame
    sizes = {"max_upload_bytes": 1_000_000, "max_batch_bytes": 1_000_000, "upload_memory": 3_000_000}
    with hosted(index, **sizes) as address, ExitStack() as stack:
        before = metric(address, "daco_upload_bytes")
        for _ in range(12):
            stack.enter_context(suppress(OSError, ConnectionClosed))
            stack.enter_context(follow(address)).socket.sendall(half)
        time.sleep(1.2)
        assert before < metric(address, "daco_upload_bytes") <= 3_000_000
        with follow(address) as track:  # to whom those that have stalled give way
            photograph = (photographs / "1.png").read_bytes()
            assert ask(track, photograph + bytes(900_000 - len(photograph)))["type"] == "answer"


def test_a_message_has_the_time_limit_of_an_upload(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_limits, "SILENT_SECONDS", 0.3)
    with hosted(index) as address, follow(address) as track:
        track.socket.sendall(b"\x82\xfe\xff\xff" + bytes(4) + b"half a frame")
        with pytest.raises(ConnectionClosed) as closed:
            track.recv(timeout=20)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


@pytest.mark.parametrize("kind", ["killed", "slow", "rubbish", "killed while it is answered"])
def test_a_misbehaving_client_leaves_the_server_unchanged(
    index: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    photograph = (photographs / "1.png").read_bytes()
    monkeypatch.setattr(conversation, "SEND_SECONDS", 0.5)
    with hosted(index, max_tracks=1, track_idle_seconds=1.0 if kind == "slow" else 3.0) as address:
        names = ("daco_upload_bytes", "daco_queries_in_work", "daco_tracks")
        before = [metric(address, name) for name in names]
        track = follow(address).__enter__()
        if kind == "killed":
            ask(track, photograph)
            track.socket.shutdown(socket.SHUT_RDWR)  # `close` would leave its reader to read from the next socket
        elif kind == "killed while it is answered":
            for _ in range(5):
                track.send(photograph)
            track.socket.shutdown(socket.SHUT_RDWR)  # `close` would leave its reader to read from the next socket
        elif kind == "slow":  # half a frame, and then nothing
            track.socket.sendall(b"\x82\xfe\xff\xff" + bytes(4) + b"half a frame")
        else:
            with pytest.raises(ConnectionClosed):
                while True:
                    ask(track, b"rubbish")
        wait_until(lambda: [metric(address, name) for name in names] == before)
        with follow(address) as other:
            assert ask(other, photograph)["track"]["status"] == "tracking"
        assert httpx.post(f"{address}/v1/query", content=photograph).status_code == 200


def metric(address: str, name: str) -> float:
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    return float(next((line.split()[1] for line in lines if line.startswith(f"{name} ")), 0))


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_motion_of_an_unusable_frame_is_not_lost(
    own_server: str, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    motions = []

    def update(tracker: Tracker, evidence: FrameEvidence, seconds: float, odometry: Odometry | None) -> TrackEstimate:
        motions.append(None if odometry is None else (round(odometry.forward, 6), round(odometry.left, 6)))
        return original(tracker, evidence, seconds, odometry)

    original = Tracker.update
    monkeypatch.setattr(Tracker, "update", update)
    photograph = (photographs / "1.png").read_bytes()
    with follow(own_server) as track:
        for content, turn in ((photograph, 0), (b"rubbish", 90), (b"", 0), (photograph, 0), (photograph, 0)):
            track.send(json.dumps({"type": "frame", "odometry": {"forward": 2, "turn": turn}}))
            ask(track, content)
    # ahead, then to the right twice; and one more
    assert motions == [(2, 0), (2, -4), (2, 0)]


def test_a_failure_of_the_server_is_reported_and_the_track_continues(
    own_server: str, photographs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    photograph = (photographs / "1.png").read_bytes()
    with follow(own_server) as track:
        with monkeypatch.context() as broken:
            broken.setattr(QueryEmbedder, "prepare", fail)
            assert ask(track, photograph)["error"]["code"] == "internal_error"
        assert ask(track, photograph)["frame"] == 1
    assert "out of memory" in caplog.text


def fail(*_: object) -> None:
    raise RuntimeError("out of memory")


def test_smoothing_a_track_does_not_delay_others(
    own_server: str, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def smoothed(tracker: Tracker) -> list[TrackEstimate]:
        begun.set()
        assert go_on.wait(20)
        return []

    monkeypatch.setattr(Tracker, "smoothed", smoothed)
    with follow(own_server) as track:
        track.send(json.dumps({"type": "settings", "smooth": True}))
        ask(track, (photographs / "1.png").read_bytes())
        track.send(json.dumps({"type": "finish"}))
        assert begun.wait(20)
        assert httpx.get(f"{own_server}/healthz", timeout=5).status_code == 200
        go_on.set()
        assert json.loads(track.recv(timeout=20))["type"] == "finished"


def test_the_states_of_an_index_are_computed_once_for_all_tracks(
    own_index: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    original = States.__init__

    def slowly(states: States, entries: Sequence[Entry]) -> None:
        made.append(states)
        time.sleep(0.3)
        original(states, entries)

    monkeypatch.setattr(States, "__init__", slowly)
    photograph = (photographs / "1.png").read_bytes()
    with hosted(own_index) as address, ExitStack() as stack:
        tracks = [stack.enter_context(follow(address)) for _ in range(3)]
        for track in tracks:
            track.send(photograph)
        assert [json.loads(track.recv(timeout=20))["type"] for track in tracks] == ["answer"] * 3
    assert len(made) == 1


def test_the_command_writes_a_track_during_which_the_index_changed(
    own_server: str, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ride = tmp_path / "ride"
    ride.mkdir()
    for number in range(4):
        (ride / f"{number}.png").write_bytes((photographs / f"{number}.png").read_bytes())
    original = Tracker.smoothed
    monkeypatch.setattr(Tracker, "smoothed", lambda tracker: original(tracker)[2:])
    done = daco_serve("track", ride, "--url", own_server, "--out", tmp_path / "ride.csv", "--speed", 20)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "ride.csv").read_text().splitlines()))
    assert [row["frame"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[3]["place"] == "place 3"
