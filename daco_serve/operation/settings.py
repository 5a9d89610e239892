"""All settings of the server, with default, limits and meaning; options and environment variables derive from them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.config import JsonDict

from daco_core.errors import UsageError
from daco_core.threads import available_cores
from daco_index.embedding.precision_record import PrecisionRequest
from daco_index.reranking import CANDIDATES
from daco_index.search.index_choice import Gpu
from daco_serve.operation.addresses import networks_of
from daco_serve.operation.logs import LogFormat, LogLevel
from daco_serve.operation.tiles import check_tiles

NO_LIMIT = "none"
UPLOAD_COPIES = 3  # bytes of memory per byte of a photograph sent in JSON: its base64 and the decoded file
GRACE_SECONDS = 10  # in which current requests may finish when the server stops
PREFIX = "DACO_"  # of every environment variable


def setting(default: Any, meaning: str, shown: str = "", option: str = "", metavar: str = "", **limits: Any) -> Any:
    """A field of `ServeSettings`.

    Args:
        meaning: one sentence, for the command's help and the reference page.
        shown: the default as the reader sees it, if it is not the value itself.
        option: the name of its option, if it is not the field's name.
        metavar: the placeholder for its value in the help.
        limits: limits for pydantic to check.
    """
    shown_as: JsonDict = {"shown": shown, "option": option, "metavar": metavar}
    return Field(default, description=meaning, json_schema_extra=shown_as, **limits)


class ServeSettings(BaseModel):
    """The settings of a server. The field `port` is the option `--port` and the variable `DACO_PORT`; a field with
    several values is an option that may be repeated, and a comma-separated variable."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    index: tuple[str, ...] = setting(
        ...,
        "Folder of an index, or of several indexes; NAME=FOLDER gives it a name.",
        metavar="[NAME=]FOLDER",
        min_length=1,
    )
    host: str = setting("127.0.0.1", "Address to listen on.")
    port: int = setting(8000, "Port; 0 selects a free one.", ge=0, le=65535)
    k: int = setting(5, "Default number of matches in an answer.", ge=1)
    max_k: int = setting(100, "Largest number of matches that a request may ask for.", ge=1)
    rerank: int = setting(
        CANDIDATES,
        "Default number of candidates to re-rank by local descriptors; 0 for none.",
        ge=0,
    )
    max_rerank: int = setting(100, "Largest number of candidates that a request may re-rank.", ge=0)
    name_files: bool = setting(
        False, "Include the file of each reference in answers, as its path relative to the indexed folder.", "no"
    )
    max_upload_bytes: int = setting(20 * 2**20, "Largest size of a photograph, in bytes.", "20 MiB", ge=1)
    max_images: int = setting(16, "Largest number of photographs in one batch.", ge=1)
    max_batch_bytes: int = setting(64 * 2**20, "Largest size of one batch, all photographs together.", "64 MiB", ge=1)
    # Pillow's own limit is 178 million
    max_pixels: int = setting(
        50_000_000, "Largest number of pixels of a photograph.", "50 million", ge=1, le=178_000_000
    )
    upload_seconds: float = setting(60.0, "Time a client may take to send its photograph.", gt=0)
    upload_rate: int = setting(
        8 * 2**10, "Lowest rate of an upload after ten seconds, in bytes per second.", "8 KiB", ge=1
    )
    upload_memory: int = setting(
        256 * 2**20,
        "Largest memory of all uploads of a worker together, in bytes.",
        "256 MiB",
        ge=1,
    )
    workers: int = setting(1, "Number of server processes, which share the port and the cores.", ge=1, le=256)
    decode_seconds: float = setting(10.0, "Time a photograph may take to decode before its decoder is stopped.", gt=0)
    max_waiting: int = setting(
        64, "Requests that each worker handles at once; further ones are answered with 503.", ge=1
    )
    max_tracks: int = setting(64, "Cameras that each worker follows at once (/v1/track).", ge=1)
    track_idle_seconds: float = setting(60.0, "Time without a frame after which a track ends.", gt=0)
    max_batch: int = setting(
        16, "Largest number of photographs that the encoder embeds at once; on a CPU, limited by its cores.", ge=1
    )
    reload_seconds: float = setting(2.0, "Interval at which the server looks for a new generation of the index.", gt=0)
    device: str = setting("auto", "Device for embedding: auto, cpu, cuda or cuda:N.")
    precision: PrecisionRequest = setting("auto", "Precision of queries: fp32, bf16 or int8; auto: that of the index.")
    gpu: Gpu = setting("auto", "Search on a GPU: auto, on or off.")
    trust: bool = setting(False, "Allow indexes with torchhub: encoders to execute third-party code.", "no")
    keys: Path | None = setting(None, "File of API keys (see daco-serve key); requires a key on loopback, too.")
    open: bool = setting(False, "Require no key, even if other machines can connect.", "no")
    make_key: bool = setting(False, "If a key is required and there is none, create one and print it once.", "no")
    rate_limit: str | None = setting(
        None,
        "Rate limit of one client, such as 120/minute, or none. Reading is allowed 20 times as often.",
        "none; 120/minute if --open",
    )
    rate_limit_storage: str = setting(
        "async+memory://", "Where queries are counted: in each worker, or in a Redis server shared by all."
    )
    cors_origins: tuple[str, ...] = setting((), "Site whose web pages may query this server.", option="cors_origin")
    trusted_proxies: str = setting(
        "127.0.0.1", "Addresses and networks of proxies, separated by commas, whose X-Forwarded-For is used."
    )
    tiles: str | None = setting(
        None,
        "Background of the web page's map: a PMTiles file, or a tile server as https://HOST/{z}/{x}/{y}.png.",
        "none",
    )
    tiles_attribution: str | None = setting(
        None, "Attribution of the tiles on the map.", "the host, or OpenStreetMap contributors"
    )
    log_format: LogFormat = setting("text", "Format of the log on stderr: text or json.")
    log_level: LogLevel = setting("info", "Level of the log: debug, info, warning or error.")

    @field_validator("rate_limit")
    @classmethod
    def _can_be_parsed(cls, value: str | None) -> str | None:
        if value is not None and value != NO_LIMIT:
            try:
                from limits import parse  # slow to import; not needed by a command that only shows its help

                parse(value)
            except ValueError:
                raise ValueError(f"write it as 120/minute, 10/second or {NO_LIMIT}") from None
        return value

    @field_validator("upload_memory")
    @classmethod
    def _holds_any_upload(cls, value: int, info: ValidationInfo) -> int:
        largest = max(UPLOAD_COPIES * info.data.get("max_upload_bytes", 0), info.data.get("max_batch_bytes", 0))
        if value < largest:
            raise ValueError(f"one upload may take {largest} bytes")
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
    def usual_k(self) -> int:
        """Number of matches for a request without k."""
        return min(self.k, self.max_k)

    @property
    def usual_rerank(self) -> int:
        """Number of candidates to re-rank for a request without rerank."""
        return min(self.rerank, self.max_rerank)

    @property
    def threads(self) -> int:
        """Number of cores for each worker."""
        return max(1, available_cores() // self.workers)


def option_of(name: str) -> str:
    """The option of a setting, with underscores: its name, unless it has another one."""
    shown_as = ServeSettings.model_fields[name].json_schema_extra
    return str(shown_as["option"] or name) if isinstance(shown_as, dict) else name


def load_settings(given: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> ServeSettings:
    """Settings from the given values, then the environment, then the defaults; None counts as not given.

    Args:
        given: the value of each setting that has an option.
        environment: the variables; an empty one counts as not set.

    Raises:
        UsageError: a value is invalid, or there is no index.
    """
    stated = {name: environment.get(PREFIX + name.upper()) for name in ServeSettings.model_fields}
    values: dict[str, Any] = {name: value for name, value in stated.items() if value}
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        return ServeSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = PREFIX + name.upper()
        if first["type"] in ("missing", "too_short"):
            raise UsageError(f"No {name} was named: give --{name} or set {variable}.") from error
        reason = first["msg"].removeprefix("Value error, ")
        # name the option if the setting has one, whether it was given or not
        subject = f"--{option_of(name).replace('_', '-')} (or {variable})" if name in given else variable
        raise UsageError(f"{subject} cannot be {first['input']!r}: {reason}.") from error
