"""The first stage of a build, addition or update: the photographs to read, and the entries that stay unchanged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from daco_core.errors import UsageError
from daco_core.recordings.extraction import Extraction
from daco_core.recordings.recording import RecordingOptions
from daco_index.generations.manifest import Manifest, SourceRecord
from daco_index.generations.specification import Provenance
from daco_index.references.find import Reference, SourceContents, Split, absolute_source, look_into
from daco_index.references.panoramas import PanoramaOptions, cut_panoramas
from daco_index.references.reconstruction import ReconstructionOptions, place_references
from daco_index.references.recordings import photographs_of
from daco_index.references.tracks import TrackOptions, place_along_track
from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry


@dataclass(frozen=True)
class References:
    """The photographs of a new generation, before any of them is opened.

    Args:
        found: the photographs to be read and embedded, in a fixed order.
        provenance: their origin, for the manifest.
        staying: entries of the previous generation that stay unchanged.
        held: entries of the previous generation by path; they are kept if their photograph cannot be read now.
        always: publish even if nothing differs from the previous generation.
        extraction: the result of extracting frames, if the source is a recording; None for any other source.
        other_files: number of files of the sources that cannot be read as photographs, by kind.
        notes: sentences about tables that do not fit, and about doubtful positions.
    """

    found: Sequence[Reference]
    provenance: Provenance
    staying: Sequence[Entry] = ()
    held: Sequence[Entry] = ()
    always: bool = False
    extraction: Extraction | None = None
    other_files: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class SourceOptions:
    """How photographs are read from a source.

    Args:
        recording: how frames are extracted, if the source is a recording.
        panoramas: which photographs are cut into views.
        reconstruction: the reconstruction with the positions of their cameras.
    """

    recording: RecordingOptions = field(default_factory=RecordingOptions)
    panoramas: PanoramaOptions = field(default_factory=PanoramaOptions)
    reconstruction: ReconstructionOptions = field(default_factory=ReconstructionOptions)


def references_to_build(
    source: str, data_root: Path, split: Split, index: Path, options: SourceOptions, progress: bool = False
) -> References:
    """The photographs of a new index.

    Args:
        source: see `find_references`; or a recording, whose frames are extracted first.
        index: its folder, in which files made from the source are stored.
        progress: show progress on stderr.

    Raises:
        DacoError: see `look_into`, `photographs_of` and `cut_panoramas`.
    """
    return replace(_find(source, "build", data_root, split, index, options, progress), always=True)


def references_to_add(
    source: str, data_root: Path, split: Split, index: Path, options: SourceOptions, progress: bool = False
) -> References:
    """The photographs to add to an index, for `joined` to combine with it. Like `references_to_build`."""
    return _find(source, f"add {source}", data_root, split, index, options, progress)


def _find(
    source: str, change: str, data_root: Path, split: Split, index: Path, options: SourceOptions, progress: bool
) -> References:
    extraction = photographs_of(source, index, options.recording, progress)
    photographs = source if extraction is None else str(extraction.folder)
    found = look_into(photographs, data_root, split)
    record = _record(photographs, data_root, split, options, by_track=extraction is None)
    references, on_track = place_along_track(found.references, _track_of(record))
    references, on_unit = place_references(references, _folder(record), options.reconstruction, progress)
    references = cut_panoramas(references, index, options.panoramas, progress)
    provenance = Provenance(source, change, (record,))
    return References(
        references,
        provenance,
        extraction=extraction,
        other_files=found.other_files,
        notes=[*found.notes, *on_unit, *on_track],
    )


def joined(references: References, live: Bundle) -> References:
    """Combines photographs to add with those of the live generation that stay unchanged."""
    before, source = live.manifest, references.provenance.source
    (record,) = references.provenance.sources
    paths = {str(reference.path) for reference in references.found}
    entries = live.catalog.all()
    provenance = replace(
        references.provenance,
        source=before.source
        if record.place in {other.place for other in before.sources}
        else f"{before.source}, {source}",
        # the last source with a photograph determines its position, both now and in later updates
        sources=(*(other for other in before.sources if other.place != record.place), record),
        left_out=tuple(path for path in before.left_out if path not in paths),
    )
    staying = [entry for entry in entries if entry.path not in paths]
    held = [entry for entry in entries if entry.path in paths]
    return replace(references, provenance=provenance, staying=staying, held=held)


def references_to_update(index: Path, live: Bundle, progress: bool = False) -> References:
    """The photographs that the sources of an index contain now.

    Raises:
        UsageError, NotFound: a source is missing, the index names none, or all their photographs were removed from it.
    """
    manifest = live.manifest
    if not manifest.sources:
        raise UsageError(f"{index} does not record the source of its photographs: name it with daco-index add.")
    left_out = set(manifest.left_out)
    found = _found_again(manifest, index, progress)
    wanted = [reference for reference in found.references if str(reference.path) not in left_out]
    if not wanted:
        raise UsageError(f"All photographs in the sources of {index} were removed from it: add some.")
    provenance = Provenance(manifest.source, "update", manifest.sources, manifest.left_out)
    return References(wanted, provenance, held=live.catalog.all(), other_files=found.other_files, notes=found.notes)


def _record(source: str, data_root: Path, split: Split, options: SourceOptions, by_track: bool) -> SourceRecord:
    """A source in the form of the manifest.

    Args:
        by_track: whether the track gives the positions of photographs; frames of a video have theirs already.
    """
    name, root = absolute_source(source, data_root)
    positions = options.reconstruction
    track = options.recording if by_track else RecordingOptions()
    return SourceRecord(
        name,
        str(root),
        split,
        panoramas=options.panoramas.cut,
        views=options.panoramas.views,
        positions=None if positions.path is None else str(Path(positions.path).resolve()),
        up=positions.up,
        scale=positions.scale,
        track=None if track.track is None else str(track.track.resolve()),
        offset=track.offset,
        camera_yaw=track.camera_yaw,
    )


def _track_of(record: SourceRecord) -> TrackOptions:
    return TrackOptions(record.track, record.offset, record.camera_yaw)


def _folder(record: SourceRecord) -> Path | None:
    """The folder of a source; None for a data set, which has its own tables."""
    return Path(record.name) if Path(record.name).is_absolute() else None


def _found_again(manifest: Manifest, index: Path, progress: bool) -> SourceContents:
    """The photographs of all sources; the last source with a photograph determines its position."""
    found: dict[Path | str, Reference] = {}
    others: Counter[str] = Counter()
    notes: list[str] = []
    for record in manifest.sources:
        contents = look_into(record.name, Path(record.data_root), record.split)
        positions = ReconstructionOptions(record.positions, record.up, record.scale)
        references, on_track = place_along_track(contents.references, _track_of(record))
        references, on_unit = place_references(references, _folder(record), positions, progress)
        references = cut_panoramas(references, index, PanoramaOptions(record.panoramas, record.views), progress)
        found |= {reference.path: reference for reference in references}
        others.update(contents.other_files)
        notes += [note for note in (*contents.notes, *on_unit, *on_track) if note not in notes]
    return SourceContents(list(found.values()), dict(others.most_common()), notes)
