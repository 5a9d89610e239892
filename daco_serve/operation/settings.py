"""Every setting of the server: its default, its limits, and its variable in the environment."""

from pathlib import Path
from typing import Annotated, Any

from limits import parse
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from daco_core.errors import UsageError
from daco_core.threads import available_cores
from daco_index.embedding.precision_record import Wish
from daco_index.search.index_choice import Gpu
from daco_serve.operation.addresses import networks_of
from daco_serve.operation.logs import LogFormat, LogLevel
from daco_serve.operation.tiles import check_tiles

NO_LIMIT = "none"
GRACE_SECONDS = 10  # for requests in work when the server is told to stop


class ServeSettings(BaseSettings):
    """What a server is told; each field may also come from the environment, `port` as `DACO_PORT`.

    Args:
        index: folders of the indexes to answer from, each as `find_indexes` takes it; in the environment divided by
            commas.
        k, max_k: how many matches an answer has, unless the request says; and at most.
        max_upload_bytes: of one photograph.
        max_images: Largest number of photographs in one batch.
        max_batch_bytes: Largest size of one batch, all photographs together.
        max_pixels: width times height; looked at before anything is decoded.
        upload_seconds: Time a client may take to send its photograph.
        workers: processes that share the port and the cores.
        decode_seconds: Time a photograph may take to decode before its decoder is stopped.
        max_waiting: Requests that each worker handles at once; further ones are answered with 503.
        max_batch: Largest number of photographs that the encoder embeds at once; on a CPU, limited by its cores.
        reload_seconds: Interval at which the server looks for a new generation of the index.
        gpu: whether indexes are searched on a GPU; with `auto`, where there is one for them.
        precision: that the encoder computes in; auto for what the index was built for.
        trust: run the code of others that an index with an encoder from torch.hub needs.
        keys: the file of API keys; naming one asks for a key on loopback too.
        open: ask for no key, whoever can reach the server.
        make_key: where a key is needed and there is none, make one and print it, once.
        rate_limit: queries of one client, as `120/minute`, or `none`; reading is allowed 20 times as often.
        rate_limit_storage: Where queries are counted: in each worker, or in a Redis server that all share.
        cors_origins: other sites whose pages may ask; in the environment separated by commas.
        trusted_proxies: addresses and networks whose `X-Forwarded-For` is believed, separated by commas.
        tiles, tiles_attribution: tile server behind the page's map, with {z}, {x} and {y}; and whom the map thanks.
        log_format, log_level: of the log on stderr.
    """

    model_config = SettingsConfigDict(env_prefix="DACO_", env_ignore_empty=True)

    index: Annotated[tuple[str, ...], NoDecode] = Field(min_length=1)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    k: int = Field(default=5, ge=1)
    max_k: int = Field(default=100, ge=1)
    max_upload_bytes: int = Field(default=20 * 2**20, ge=1)
    max_images: int = Field(default=16, ge=1)
    max_batch_bytes: int = Field(default=64 * 2**20, ge=1)
    max_pixels: int = Field(default=50_000_000, ge=1, le=178_000_000)  # past that Pillow refuses by itself
    upload_seconds: float = Field(default=60.0, gt=0)
    workers: int = Field(default=1, ge=1, le=256)
    decode_seconds: float = Field(default=10.0, gt=0)
    max_waiting: int = Field(default=64, ge=1)
    max_batch: int = Field(default=16, ge=1)
    reload_seconds: float = Field(default=2.0, gt=0)
    device: str = "auto"
    precision: Wish = "auto"
    gpu: Gpu = "auto"
    trust: bool = False
    keys: Path | None = None
    open: bool = False
    make_key: bool = False
    rate_limit: str | None = None
    rate_limit_storage: str = "async+memory://"
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: str = "127.0.0.1"
    tiles: str | None = None
    tiles_attribution: str | None = None
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    @field_validator("rate_limit")
    @classmethod
    def _can_be_parsed(cls, value: str | None) -> str | None:
        if value is not None and value != NO_LIMIT:
            try:
                parse(value)
            except ValueError:
                raise ValueError(f"say it as 120/minute, 10/second or {NO_LIMIT}") from None
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        try:
            networks_of(value)
        except ValueError:
            raise ValueError("name addresses or networks, separated by commas, or * for all") from None
        return value

    @field_validator("tiles")
    @classmethod
    def _are_tiles(cls, value: str | None) -> str | None:
        return None if not value else check_tiles(value)

    @field_validator("index", "cors_origins", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        if isinstance(given, Path):
            return (str(given),)
        if isinstance(given, str):
            return tuple(part.strip() for part in given.split(",") if part.strip())
        return given

    @property
    def threads(self) -> int:
        """One worker's share of the cores."""
        return max(1, available_cores() // self.workers)


def load_settings(given: dict[str, Any]) -> ServeSettings:
    """Settings from what was given, then the environment, then the defaults; None counts as not given.

    Args:
        given: the value of each setting that has an option.

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
            raise UsageError(f"No {name} was named: give --{name} or set {variable}.") from error
        reason = first["msg"].removeprefix("Value error, ")
        # the command names all that it has an option for, given or not
        subject = f"--{name.replace('_', '-')} (or {variable})" if name in given else variable
        raise UsageError(f"{subject} cannot be {first['input']!r}: {reason}.") from error
