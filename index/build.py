"""A new index from a set of photographs: find, embed, write, publish."""

import time
from dataclasses import dataclass
from pathlib import Path

from index.bundle import write_generation
from index.catalog import Entry
from index.embed import Embedded, TorchEngine, embed_files
from index.generations import Writer
from index.manifest import Manifest
from index.references import Reference, Split, find_references
from training.encoder_source import load_encoder
from training.errors import DacoError


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Args:
        manifest: of the published generation.
        found: photographs in the source.
        unreadable: files that were skipped, each with why.
        seconds: from the first look at the source to the published index.
        images_per_second: of the embedding alone.
    """

    manifest: Manifest
    found: int
    unreadable: dict[str, str]
    seconds: float
    images_per_second: float


def build_index(
    source: str,
    encoder: str,
    out: Path,
    data_root: Path = Path("data"),
    split: Split = "all",
    batch_size: int = 16,
    device: str = "auto",
    strict: bool = False,
    trust: bool = False,
    progress: bool = True,
) -> BuildReport:
    """Builds the index of a set of photographs and publishes it in the folder `out` as a new generation.

    Until it is published, and if the build fails or is stopped, what `out` held before goes on answering.

    Args:
        source, data_root, split: the photographs, as `find_references` takes them.
        encoder, trust: a folder, `timm:NAME` or `torchhub:REPO:ENTRY`, as `load_encoder` takes it.
        strict: an unreadable photograph stops the build.

    Raises:
        DacoError: anything that the user can put right; UnreadableImage with `strict`.
    """
    start = time.perf_counter()
    references = find_references(source, data_root, split)
    loaded = load_encoder(encoder, trust)
    engine = TorchEngine(loaded, device)
    with Writer(out) as writer:
        embedding_start = time.perf_counter()
        embedded = embed_files(
            engine, [reference.path for reference in references], batch_size, strict=strict, progress=progress
        )
        embedding_seconds = time.perf_counter() - embedding_start
        if not embedded.kept:
            raise DacoError(
                f"No photograph in {source} can be read ({len(references)} tried). First: {embedded.unreadable[0]}"
            )
        manifest = write_generation(writer, embedded.vectors, _entries(references, embedded), loaded, source)
    return BuildReport(
        manifest=manifest,
        found=len(references),
        unreadable={str(error.path): str(error) for error in embedded.unreadable},
        seconds=round(time.perf_counter() - start, 3),
        images_per_second=round(len(references) / embedding_seconds, 2),
    )


def _entries(references: list[Reference], embedded: Embedded) -> list[Entry]:
    kept = [references[row] for row in embedded.kept]
    return [
        Entry(
            id=number,
            path=str(reference.path),
            place=reference.place,
            latitude=reference.latitude,
            longitude=reference.longitude,
            heading=reference.heading,
            width=photograph.width,
            height=photograph.height,
            sha256=photograph.sha256,
        )
        for number, (reference, photograph) in enumerate(zip(kept, embedded.photographs, strict=True))
    ]
