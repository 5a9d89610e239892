"""`daco-bench embed`: three measured rates of the same photographs, and their ratios."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daco_bench.cli.main import app
from daco_bench.speed.embedding import EmbeddingSpeed
from daco_core.errors import DacoError


def test_the_complete_build_the_engine_and_the_decoding_are_measured(photographs: Path, encoder_folder: Path) -> None:
    arguments = ["embed", str(photographs), "--encoder", str(encoder_folder), "--rounds", "1", "--device", "cpu"]
    report = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert min(report["bare"], report["decoding"], report["whole"]) > 0
    assert 0 < report["busy"] <= 1
    assert 0 < report["possible"] < min(report["bare"], report["decoding"])
    assert report["images"] == len([path for path in photographs.rglob("*.*") if path.suffix in (".jpg", ".png")])
    assert "% of the bare engine" in CliRunner().invoke(app, arguments).stdout


def test_unreadable_photographs_are_rejected(encoder_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("not a picture")
    done = CliRunner().invoke(app, ["embed", str(tmp_path), "--encoder", str(encoder_folder)])
    assert isinstance(done.exception, DacoError)


@pytest.mark.parametrize(("on_processor", "possible"), [(True, 75.0), (False, 100.0)])
def test_the_upper_bound_adds_times_on_shared_cores_and_otherwise_takes_the_slower(on_processor, possible) -> None:
    speed = EmbeddingSpeed("engine", 10, 1, bare=100.0, decoding=300.0, whole=70.0, busy=0.7, on_processor=on_processor)
    assert speed.possible == pytest.approx(possible)
