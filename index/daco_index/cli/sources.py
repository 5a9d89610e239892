"""Options of the commands that read sources of all kinds, and what they print about them."""

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_core.console import option
from daco_core.recordings.arguments import RecordingArguments
from daco_core.untrusted_text import printable

if TYPE_CHECKING:
    from daco_index.build import BuildReport
    from daco_index.references.changes import SourceOptions


class UpName(StrEnum):
    """The axes of a reconstruction that can point upwards."""

    auto = "auto"
    x = "x"
    y = "y"
    z = "z"
    minus_x = "-x"
    minus_y = "-y"
    minus_z = "-z"


@dataclass(frozen=True)
class SourceArguments(RecordingArguments):
    """`SourceOptions` as a command line has them: the options for recordings, and these for photographs."""

    panorama: Annotated[
        bool | None,
        typer.Option(
            "--panorama/--no-panorama",
            help="Cut photographs that are twice as wide as high into views, as 360-degree panoramas; or cut none.",
            show_default="those whose metadata (XMP GPano) mark them as panoramas",
        ),
    ] = None
    panorama_views: Annotated[
        int, option("panorama_views", "Number of views cut from each panorama.", min=1, max=72)
    ] = 8
    positions: Annotated[
        Path | None,
        typer.Option(
            help="Reconstruction with the cameras of the photographs: a COLMAP model, a kapture folder, or a"
            " transforms.json.",
            show_default="one in or next to the folder of photographs without positions",
        ),
    ] = None
    up: Annotated[
        UpName,
        typer.Option(help="Axis of the reconstruction that points upwards; auto finds it from the cameras."),
    ] = UpName.auto
    scale: Annotated[
        float | None,
        typer.Option(
            help="Metres in a unit of the reconstruction.",
            min=1e-9,
            show_default="estimated by photographs with positions, else 1",
        ),
    ] = None

    def parse_source(self) -> "SourceOptions":
        """Parses the arguments. Raises UsageError if one is malformed."""
        # imported only when a command runs, so that --help is fast
        from daco_index.references.changes import SourceOptions
        from daco_index.references.panoramas import PanoramaOptions
        from daco_index.references.reconstruction import ReconstructionOptions

        positions = None if self.positions is None else str(self.positions)
        return SourceOptions(
            recording=self.parse(),
            panoramas=PanoramaOptions(
                "marked" if self.panorama is None else "shaped" if self.panorama else "none", self.panorama_views
            ),
            reconstruction=ReconstructionOptions(positions, self.up.value, self.scale),
        )


def warn_of_panoramas(report: "BuildReport", panorama: bool | None = None) -> None:
    """Warns on stderr that photographs look like panoramas and were not cut, unless the user decided that."""
    if report.uncut and panorama is None:
        several = len(report.uncut) > 1
        print(
            f"Warning: {len(report.uncut)} photograph{'s are' if several else ' is'} twice as wide as high, as"
            f" 360-degree panoramas are, and {'were' if several else 'was'} embedded uncut"
            f" ({printable(report.uncut[0])}{', ...' if several else ''}): build with --panorama to cut into views, or"
            " with --no-panorama if this is right.",
            file=sys.stderr,
        )
