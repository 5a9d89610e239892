"""Settings are defined once: each field gives an option and an environment variable."""

import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from daco_core.errors import UsageError
from daco_serve.cli.settings_options import with_settings
from daco_serve.operation.settings import ServeSettings, load_settings


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DACO_")]:
        monkeypatch.delenv(name)


def parsed(*words: str) -> ServeSettings:
    """What a command line makes of the settings."""
    found: list[ServeSettings] = []
    app = typer.Typer()
    app.command()(with_settings(found.append))
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return found[0]


def test_every_setting_has_an_option_with_its_description() -> None:
    options = {option.name: option for option in typer.main.get_command(_app()).params}
    for name, field in ServeSettings.model_fields.items():
        assert field.description and field.description in options[name].help, name
    assert options["cors_origins"].opts == ["--cors-origin", "--cors_origin"]
    assert options["max_upload_bytes"].show_default == "20 MiB"


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(with_settings(lambda settings: None))
    return app


def test_options_take_precedence_over_the_environment_and_the_environment_over_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DACO_PORT", "1111")
    monkeypatch.setenv("DACO_K", "3")
    monkeypatch.setenv("DACO_HOST", "")
    settings = parsed("--index", "maps", "--port", "2222", "--max-batch", "4")
    assert (settings.port, settings.k, settings.host, settings.max_batch) == (2222, 3, "127.0.0.1", 4)


def test_values_have_their_type_wherever_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = parsed(
        *("--index", "a", "--index", "b=maps", "--keys", "keys.json", "--open"),
        *("--upload-seconds", "1.5", "--cors-origin", "https://a", "--cors-origin", "https://b"),
    )
    assert settings.index == ("a", "b=maps") and settings.keys == Path("keys.json") and settings.open is True
    assert settings.upload_seconds == 1.5 and settings.cors_origins == ("https://a", "https://b")
    for name, value in {"INDEX": "a, b=maps,", "KEYS": "keys.json", "OPEN": "1", "UPLOAD_SECONDS": "1.5"}.items():
        monkeypatch.setenv(f"DACO_{name}", value)
    monkeypatch.setenv("DACO_CORS_ORIGINS", "https://a,https://b")
    assert parsed() == settings


def test_an_error_names_the_option_as_the_user_writes_it() -> None:
    with pytest.raises(UsageError, match=r"^--cors-origin \(or DACO_CORS_ORIGINS\) cannot be 5"):
        load_settings({"index": "maps", "cors_origins": 5})
    with pytest.raises(UsageError, match=r"^DACO_LOG_FORMAT cannot be 'xml'"):
        load_settings({"index": "maps"}, {"DACO_LOG_FORMAT": "xml"})
    with pytest.raises(UsageError, match="give --index or set DACO_INDEX"):
        load_settings({}, {"DACO_INDEX": ","})


def test_an_unknown_setting_is_rejected() -> None:
    with pytest.raises(ValueError, match="prot"):
        ServeSettings(index=("maps",), prot=8000)  # type: ignore[call-arg]
