"""Exception classes distinguish wrong arguments, missing indexes, damaged indexes and missing packages."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from daco_core import errors
from daco_core.console import PICTURES, check_output
from daco_core.errors import DacoError, DamagedEncoder, DamagedIndex, MissingExtra, NotFound, UsageError, reason_of
from daco_core.photographs.layout import DataSet
from daco_index.generations.verify import verify_index
from daco_index.search.bundle import Bundle
from daco_index.search.index_choice import parse_size
from daco_serve.operation.settings import load_settings
from daco_training.encoder.encoder import Encoder

SHIPPED = Path(errors.__file__).parent / "encoder" / "shipped"


def test_every_kind_of_error_is_a_daco_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) == 7
    assert all(issubclass(kind, DacoError) and kind.__doc__ for kind in kinds)


def test_the_reason_of_a_failed_write_has_neither_a_number_nor_a_path(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        (tmp_path / "none" / "file").write_text("")
    assert reason_of(caught.value) == "No such file or directory"
    assert reason_of(OSError("closed")) == "closed"
    assert reason_of(ValueError("not a number")) == "not a number"


def test_an_output_that_cannot_be_written_is_rejected_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    check_output("--out", tmp_path / "a.csv", (".csv", ".json"))
    check_output("--out", tmp_path / "new" / "newer" / "a.png", PICTURES, in_new_folder=True)
    with pytest.raises(UsageError, match=r"--out must end in \.csv or \.json"):
        check_output("--out", tmp_path / "a.txt", (".csv", ".json"))
    with pytest.raises(UsageError, match=r"folder\.csv is a folder"):
        check_output("--out", tmp_path / "folder.csv", (".csv",))
    for parent, in_new_folder in (("new", False), ("file", False), ("file", True)):
        with pytest.raises(DacoError, match=f"cannot be written: there is no folder .*{parent}"):
            check_output("--out", tmp_path / parent / "a.csv", in_new_folder=in_new_folder)


def test_an_impossible_argument_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not a size of memory"):
        parse_size("much")
    with pytest.raises(UsageError, match="--port"):
        load_settings({"index": ("maps",), "port": 70000})


def test_a_missing_index_and_a_damaged_index_raise_different_errors(tmp_path: Path) -> None:
    for open_index in (Bundle.open, verify_index):
        with pytest.raises(NotFound, match="contains no index"):
            open_index(tmp_path)
    with pytest.raises(NotFound, match="No data set"):
        _ = DataSet(tmp_path, "nowhere").domains
    (tmp_path / "CURRENT").write_text("rubbish")
    for open_index in (Bundle.open, verify_index):
        with pytest.raises(DamagedIndex, match="does not name a generation"):
            open_index(tmp_path)


def test_a_missing_encoder_and_a_damaged_encoder_raise_different_errors(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no encoder"):
        Encoder.load(tmp_path)
    shutil.copytree(SHIPPED, tmp_path / "copy")
    config = json.loads((tmp_path / "copy" / "encoder.json").read_text())
    (tmp_path / "copy" / "encoder.json").write_text(json.dumps(config | {"format_version": 999}))
    with pytest.raises(DamagedEncoder, match="format 999"):
        Encoder.load(tmp_path / "copy")


def test_a_package_that_is_not_installed_raises_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from daco_core.figures import drawing

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"daco-serve\[plot\]"):
        drawing()


def test_a_broken_photograph_raises_unreadable_image(tmp_path: Path) -> None:
    from daco_core.photographs.images import UnreadableImage, open_reduced

    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (8, 8)).save(tmp_path / "whole.png")
    assert open_reduced(tmp_path / "whole.png", 8, (tmp_path / "whole.png").read_bytes())
    with pytest.raises(UnreadableImage):
        open_reduced(tmp_path / "broken.png", 8, b"no image")
