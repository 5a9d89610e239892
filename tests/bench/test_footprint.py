"""`daco-bench footprint`: an environment is measured by its own interpreter."""

import json
from pathlib import Path

from typer.testing import CliRunner

from daco_bench.cli.main import app
from daco_bench.speed import footprint


def test_this_environment_is_measured_with_a_real_server(monkeypatch) -> None:
    monkeypatch.setattr(footprint, "_size_mb", lambda folder: 1000.0 if (folder / "numpy").is_dir() else 0.0)
    done = CliRunner().invoke(app, ["footprint", "--rounds", "1", "--json"])
    assert done.exit_code == 0, done.output
    (one,) = json.loads(done.stdout)
    assert one["name"] == "this environment" and one["download_mb"] is None
    assert one["site_packages_mb"] == 1000
    assert 0 < one["import_seconds"] < one["start_seconds"]
    assert 50 < one["server_mib"] < 2000


def test_files_are_counted_and_links_to_them_are_not(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "library").write_bytes(bytes(3_000_000))
    (tmp_path / "link").symlink_to(tmp_path / "package" / "library")
    assert footprint._size_mb(tmp_path) == 3.0


def test_a_download_is_as_large_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "a package.whl").write_bytes(bytes(1234))
    assert footprint._bytes_of(f"file://{tmp_path}/a%20package.whl") == 1234
    assert footprint._bytes_of(f"file://{tmp_path}") == 0, "sources that are here already"
