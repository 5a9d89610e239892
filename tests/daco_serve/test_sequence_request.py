"""`POST /v1/query/sequence`: ordered frames in one request, each located with the help of all."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from daco_core.errors import UsageError
from daco_serve.client import AsyncClient, Client
from daco_serve.client.track import TrackFrame
from daco_serve.engine.tracking import FrameEvidence, Odometry, Tracker, TrackEstimate
from daco_serve.http.track_schemas import FrameHeader, SequenceRequest

from .conftest import hosted
from .test_refusals import refused

PATH = "/v1/query/sequence"


def form(photographs: Path, *numbers: int, rubbish: int | None = None) -> list[tuple[str, tuple[str, bytes]]]:
    """The photographs of these numbers, one of them, by its position, unreadable."""
    contents = [(photographs / f"{number}.png").read_bytes() for number in numbers]
    if rubbish is not None:
        contents[rubbish] = b"rubbish"
    return [("image", (f"{number}.png", content)) for number, content in zip(numbers, contents, strict=True)]


def ask(client: httpx.Client, files: Any, settings: Any = None) -> list[dict[str, Any]]:
    data = None if settings is None else {"sequence": json.dumps(settings)}
    answer = client.post(PATH, files=files, data=data)
    assert answer.status_code == 200, answer.text
    frames: list[dict[str, Any]] = answer.json()["frames"]
    return frames


def test_each_frame_gets_an_estimate_from_all_frames_and_one_of_its_own(
    client: httpx.Client, photographs: Path
) -> None:
    frames = ask(client, form(photographs, 1, 2, 3, 4), {"speed": 20, "k": 2})
    assert [frame["name"] for frame in frames] == ["1.png", "2.png", "3.png", "4.png"]
    for number, frame in enumerate(frames, start=1):
        assert frame["track"]["status"] == "tracking"
        assert frame["track"]["location"]["latitude"] == pytest.approx(35 + number * 10 / 111195, abs=20 / 111195)
        assert frame["single"]["matches"][0]["place"] == f"place {number}"
        assert len(frame["single"]["matches"]) == 2
        assert frame["error"] is None
    references = [frame["reference"] for frame in frames]
    assert references == [frame["single"]["best"]["id"] for frame in frames]


def test_without_smoothing_a_frame_is_estimated_from_those_up_to_it(client: httpx.Client, photographs: Path) -> None:
    settings = {"speed": 20, "seconds": 0.5}
    live = ask(client, form(photographs, 1, 2, 3), {**settings, "smooth": False})
    first = ask(client, form(photographs, 1), {**settings, "smooth": False})
    smoothed = ask(client, form(photographs, 1, 2, 3), settings)
    assert live[0]["track"] == first[0]["track"] != smoothed[0]["track"]
    assert live[2]["track"]["probability"] == smoothed[2]["track"]["probability"]  # the last has none after it
    assert [frame["reference"] for frame in live] == [None, None, None]


def test_the_motion_of_an_unusable_frame_is_added_to_the_next_frame(
    index: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = []

    def update(tracker: Tracker, evidence: FrameEvidence, seconds: float, odometry: Odometry | None) -> TrackEstimate:
        moves.append((seconds, None if odometry is None else odometry.forward))
        return original(tracker, evidence, seconds, odometry)

    original = Tracker.update
    monkeypatch.setattr(Tracker, "update", update)
    headers = [{"timestamp": 2.0 * number, "odometry": {"forward": 10.0}} for number in range(4)]
    with hosted(index) as address, httpx.Client(base_url=address) as client:
        frames = ask(client, form(photographs, 1, 2, 3, 4, rubbish=1), {"frames": headers})
    assert frames[1]["error"]["code"] == "not_an_image"
    assert frames[1]["track"] is frames[1]["single"] is frames[1]["reference"] is None
    assert [frame["timestamp"] for frame in frames] == [0, 2, 4, 6]
    assert frames[2]["track"]["status"] == "tracking" and frames[2]["reference"] is not None
    assert moves == [(0.0, 10.0), (4.0, 20.0), (2.0, 10.0)]


def test_a_sequence_of_only_unusable_frames_is_answered(client: httpx.Client, photographs: Path) -> None:
    (frame,) = ask(client, form(photographs, 1, rubbish=0))
    assert frame["error"]["code"] == "not_an_image" and frame["track"] is None


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ("{", "invalid_request", "not JSON"),
        ("[" * 5000, "invalid_request", "not JSON"),
        ("[]", "invalid_request", "must be a JSON object"),
        ('{"fast": true}', "invalid_request", "fast"),
        ('{"speed": -1}', "invalid_request", "speed"),
        ('{"seconds": NaN}', "invalid_request", "seconds"),
        ('{"k": 100}', "bad_k", "from 1 to 50"),
        ('{"frames": [{}]}', "invalid_request", "there are 1 of them, but 2 photographs"),
        ('{"frames": [{"timestamp": 1}, {}]}', "invalid_request", "all have a timestamp"),
        ('{"frames": [{"timestamp": 1}, {"timestamp": 0}]}', "invalid_request", "ascending"),
        ('{"frames": [{"prior": {"latitude": 99, "longitude": 0, "metres": 5}}, {}]}', "invalid_request", "latitude"),
    ],
)
def test_invalid_settings_are_rejected(
    limited: httpx.Client, photographs: Path, settings: str, code: str, says: str
) -> None:
    answer = limited.post(PATH, files=form(photographs, 1, 2), data={"sequence": settings})
    refused(answer, 422, code)
    assert says in answer.json()["error"]["message"]
    as_file = [*form(photographs, 1, 2), ("sequence", ("sequence.json", settings.encode()))]
    refused(limited.post(PATH, files=as_file), 422, code)


@pytest.fixture(scope="module")
def limited(index: Path) -> Any:
    sizes = {"max_images": 3, "max_upload_bytes": 100_000, "max_batch_bytes": 150_000}
    with hosted(index, max_k=50, **sizes) as address, httpx.Client(base_url=address) as client:
        yield client


def test_a_sequence_has_the_limits_of_a_batch(limited: httpx.Client, photographs: Path) -> None:
    refused(limited.post(PATH, files=form(photographs, 1, 2, 3, 4)), 400, "bad_form")
    refused(limited.post(PATH, files=form(photographs, 1, 2, 3, 4), data={"sequence": "{}"}), 400, "bad_form")
    assert len(ask(limited, form(photographs, 1, 2, 3), {})) == 3
    refused(limited.post(PATH, files=[("image", ("a.png", bytes(300_000)))]), 413, "image_too_large")
    frames = ask(limited, [("image", ("a.png", bytes(120_000))), *form(photographs, 1)])
    assert frames[0]["error"]["code"] == "image_too_large" and frames[1]["track"] is not None
    too_long = {"sequence": ("sequence.json", b"[" + b" " * 70_000 + b"]")}
    refused(limited.post(PATH, files=[*form(photographs, 1), *too_long.items()]), 413, "json_too_large")
    refused(limited.post(PATH, data={"sequence": "{}"}), 400, "bad_form")
    refused(limited.post(PATH, files=[("sequence", ("sequence.json", b"{}"))]), 422, "no_image")
    refused(limited.post(f"{PATH}?index=harbour", files=form(photographs, 1)), 404, "unknown_index")


def test_frames_of_a_sequence_count_as_queries(index: Path, photographs: Path) -> None:
    with hosted(index, rate_limit="5/minute") as address, httpx.Client(base_url=address) as client:
        ask(client, form(photographs, 1, 2, 3))
        refused(client.post(PATH, files=form(photographs, 1, 2, 3)), 429, "too_many_requests")


def test_the_clients_send_a_sequence(server: str, photographs: Path) -> None:
    files = [photographs / f"{number}.png" for number in range(1, 4)]
    frames = [TrackFrame(file, FrameHeader(timestamp=0.5 * number)) for number, file in enumerate(files)]
    with Client(server) as client:
        answer = client.query_sequence(frames, SequenceRequest(speed=25))
        assert [frame.timestamp for frame in answer.frames] == [0.0, 0.5, 1.0]
        assert [frame.track.place for frame in answer.frames if frame.track] == ["place 1", "place 2", "place 3"]
        assert len(client.query_sequence([files[0].read_bytes()]).frames) == 1
        for count in (0, 17):
            with pytest.raises(UsageError, match="1 to 16 frames"):
                client.query_sequence(count * files[:1])


@pytest.mark.anyio
async def test_the_asynchronous_client_sends_a_sequence(server: str, photographs: Path) -> None:
    async with AsyncClient(server) as client:
        answer = await client.query_sequence([photographs / "1.png", photographs / "2.png"])
    assert [frame.error for frame in answer.frames] == [None, None]
