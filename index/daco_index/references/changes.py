"""What a build, an addition or an update finds: the photographs to look at, and the entries that stay unseen."""

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
    """The photographs of a generation before any of them is opened.

    Args:
        found: to be read and embedded, in a fixed order.
        provenance: what the manifest will say of where they come from.
        staying: entries of the generation before that stay as they are.
        held: entries of the generation before by path, which stay if their photograph cannot be read now.
        always: publish even what equals the generation before.
        extraction: what became of the frames of a source that is a recording; None for any other source.
        other_files: how many files of the sources are no photographs that can be read here, by kind.
        notes: sentences on tables that do not fit and on positions that are doubtful.
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
    """How photographs are made of a source, and found in it.

    Args:
        recording: how the frames of a source that is a recording become photographs.
        panoramas: which photographs are cut into views.
        reconstruction: where their cameras are known from.
    """

    recording: RecordingOptions = field(default_factory=RecordingOptions)
    panoramas: PanoramaOptions = field(default_factory=PanoramaOptions)
    reconstruction: ReconstructionOptions = field(default_factory=ReconstructionOptions)


def references_to_build(
    source: str, data_root: Path, split: Split, index: Path, options: SourceOptions, progress: bool = False
) -> References:
    """The photographs of a new index.

    Args:
        source: as `find_references` takes it; or a recording, whose frames become photographs first.
        index: its folder, where what is made of the source lies.
        progress: show progress on stderr.

    Raises:
        DacoError: as `look_into`, `photographs_of` and `cut_panoramas`.
    """
    return replace(_find(source, "build", data_root, split, index, options, progress), always=True)


def references_to_add(
    source: str, data_root: Path, split: Split, index: Path, options: SourceOptions, progress: bool = False
) -> References:
    """The photographs that are to join an index, for `joined` to put beside what it holds; as those of a new one."""
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
    """The photographs that are to join, and those of the live generation that they leave as they are."""
    before, source = live.manifest, references.provenance.source
    (record,) = references.provenance.sources
    paths = {str(reference.path) for reference in references.found}
    entries = live.catalog.all()
    provenance = replace(
        references.provenance,
        source=before.source
        if record.place in {other.place for other in before.sources}
        else f"{before.source}, {source}",
        # a photograph is placed by the last source that has it, now and when update looks again
        sources=(*(other for other in before.sources if other.place != record.place), record),
        left_out=tuple(path for path in before.left_out if path not in paths),
    )
    staying = [entry for entry in entries if entry.path not in paths]
    held = [entry for entry in entries if entry.path in paths]
    return replace(references, provenance=provenance, staying=staying, held=held)


def references_to_update(index: Path, live: Bundle, progress: bool = False) -> References:
    """The photographs that the sources of an index hold now.

    Raises:
        UsageError, NotFound: a source is gone, the index names none, or all that they hold was removed from it.
    """
    manifest = live.manifest
    if not manifest.sources:
        raise UsageError(f"{index} does not say where its photographs came from: name it with daco-index add.")
    left_out = set(manifest.left_out)
    found = _found_again(manifest, index, progress)
    wanted = [reference for reference in found.references if str(reference.path) not in left_out]
    if not wanted:
        raise UsageError(f"Every photograph that the sources of {index} still hold was removed from it: add some.")
    provenance = Provenance(manifest.source, "update", manifest.sources, manifest.left_out)
    return References(wanted, provenance, held=live.catalog.all(), other_files=found.other_files, notes=found.notes)


def _record(source: str, data_root: Path, split: Split, options: SourceOptions, by_track: bool) -> SourceRecord:
    """A source as the manifest keeps it.

    Args:
        by_track: whether the track is that of its photographs; frames of a video have their positions already.
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
    """The folder of a source that is one; a data set has tables of its own."""
    return Path(record.name) if Path(record.name).is_absolute() else None


def _found_again(manifest: Manifest, index: Path, progress: bool) -> SourceContents:
    """The photographs of all sources, each as the last source that has it places it."""
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
