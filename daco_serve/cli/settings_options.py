"""Creates a command-line option for every setting of the server."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

from pydantic.fields import FieldInfo

from daco_core.console import option
from daco_serve.operation.settings import ServeSettings, load_settings, option_of

KINDS = (bool, int, float, Path)  # parsed by the command line; texts are checked by `ServeSettings`


def with_settings(command: Callable[[ServeSettings], None]) -> Callable[..., None]:
    """Makes a function for Typer that has an option for each setting and calls `command` with the settings.

    Settings that are not given on the command line come from the environment, or else from the defaults.
    """

    def run(**given: Any) -> None:
        # an option that may be repeated is an empty list if it is not given
        command(load_settings({name: None if value == [] else value for name, value in given.items()}))

    parameters = [_parameter(name, field) for name, field in ServeSettings.model_fields.items()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    return run


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """The parameter for a setting: None unless given, so that the environment takes precedence over the default."""
    said = field.json_schema_extra
    assert isinstance(said, dict)
    default = said["shown"] or ("" if field.is_required() or field.default in (None, ()) else str(field.default))
    repeated = get_origin(field.annotation) is tuple
    made = option(
        option_of(name),
        f"{field.description}{' May be repeated.' if repeated else ''}",
        show_default=default or False,
        metavar=said["metavar"] or None,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[_kind(field.annotation), made]
    )


def _kind(annotation: Any) -> Any:
    """The type of an option: that of its field, or text."""
    if get_origin(annotation) is tuple:
        return list[str] | None
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((kind for kind in kinds if kind in KINDS), str) | None
