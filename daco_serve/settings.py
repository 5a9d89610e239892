"""Every setting of the server: its default, its limits, and its variable in the environment."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from training.errors import DacoError


class ServeSettings(BaseSettings):
    """What a server is told; each field may also come from the environment, `port` as `DACO_PORT`.

    Args:
        index: folders of the indexes to answer from, each as `find_indexes` takes it; in the environment divided by
            commas.
        k, max_k: how many matches an answer has, unless the request says; and at most.
        max_upload_bytes: of one photograph.
        max_pixels: width times height; looked at before anything is decoded.
        upload_seconds: how long a client may take to send its photograph.
        max_waiting: requests in work at once; one more is refused with 503.
        max_batch: photographs that the encoder takes at once.
        reload_seconds: how often to look whether the index has a new generation.
        trust: run the code of others that an index with an encoder from torch.hub needs.
    """

    model_config = SettingsConfigDict(env_prefix="DACO_")

    index: Annotated[tuple[str, ...], NoDecode] = Field(min_length=1)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    k: int = Field(default=5, ge=1)
    max_k: int = Field(default=100, ge=1)
    max_upload_bytes: int = Field(default=20 * 2**20, ge=1)
    max_pixels: int = Field(default=50_000_000, ge=1, le=178_000_000)  # past that Pillow refuses by itself
    upload_seconds: float = Field(default=60.0, gt=0)
    max_waiting: int = Field(default=64, ge=1)
    max_batch: int = Field(default=16, ge=1)
    reload_seconds: float = Field(default=2.0, gt=0)
    device: str = "auto"
    trust: bool = False

    @field_validator("index", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        if isinstance(given, Path):
            return (str(given),)
        if isinstance(given, str):
            return tuple(part.strip() for part in given.split(",") if part.strip())
        return given


def load_settings(given: dict[str, Any]) -> ServeSettings:
    """Settings from what was given, then the environment, then the defaults; None counts as not given.

    Raises:
        DacoError: a value is not of its kind, or there is no index.
    """
    try:
        return ServeSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = f"DACO_{name.upper()}"
        if first["type"] in ("missing", "too_short"):
            raise DacoError(f"No {name} was named: give --{name} or set {variable}.") from error
        raise DacoError(
            f"--{name.replace('_', '-')} (or {variable}) cannot be {first['input']!r}: {first['msg']}."
        ) from error
