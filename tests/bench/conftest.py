"""Fixtures shared with the tests of the server: a small real index, photographs and encoders."""

from ..daco_serve.conftest import encoder_folder, index, photographs, small_encoder

__all__ = ["encoder_folder", "index", "photographs", "small_encoder"]
