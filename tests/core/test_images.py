"""Images are read, or rejected with a reproducible reason."""

import pytest

from daco_core.photographs.images import UnreadableImage, open_reduced


def test_the_message_about_a_file_that_is_no_image_names_no_python_object(tmp_path):
    with pytest.raises(UnreadableImage) as caught:
        open_reduced(tmp_path / "a.jpg", 64, b"no image")
    assert str(caught.value) == f"{tmp_path / 'a.jpg'} cannot be read as an image: cannot identify image file"


def test_an_error_without_a_message_is_reported_by_its_type():
    assert str(UnreadableImage("a.jpg", MemoryError())) == "a.jpg cannot be read as an image: MemoryError"
    assert UnreadableImage("a.jpg", MemoryError()).reason == "MemoryError", "an empty reason means readable to Ray"
