"""`Index`: reference photographs, to look up other photographs in."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import NotFound
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.embedding.precision_record import PrecisionRequest
from daco_index.reranking import CANDIDATES
from daco_index.search.bundle import Bundle, SearchMatch
from daco_serve.api.encoder import BATCH_SIZE
from daco_serve.api.photographs import Photograph, prepare, prepared_batches
from daco_serve.engine.answers import Estimate, QueryOptions, SearchArea
from daco_serve.engine.lookup import Lookup, calibration_of, look_up


class Index:
    """The live generation of an index at the time of opening. Any number of threads may search it.

    Example:
        >>> index = Index.build("photographs/day", "maps/day")
        >>> index.search("night.jpg", k=3)[0].entry.place
        'harbour/12'
        >>> index.localize("night.jpg").location.latitude
        35.658581
    """

    def __init__(
        self,
        folder: Path,
        bundle: Bundle,
        device: str = "auto",
        precision: PrecisionRequest = "auto",
        rerank: int = CANDIDATES,
    ) -> None:
        self.folder = folder
        self.bundle = bundle
        self.engine = query_engine(bundle, device, precision)
        self.rerank = rerank
        self.calibration = calibration_of(folder, bundle, rerank)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        device: str = "auto",
        precision: PrecisionRequest = "auto",
        trust: bool = False,
        rerank: int = CANDIDATES,
    ) -> "Index":
        """Opens the index in a folder, after checking every file against its checksum.

        Args:
            device: `cpu`, `cuda`, `cuda:1`, ...; `auto` uses a GPU if there is one.
            precision: for embedding queries; `auto` for the precision chosen when the index was built.
            trust: allow the third-party code of a `torchhub:` encoder to be executed.
            rerank: number of candidates to re-rank by local descriptors, if the index has them; 0 for none.

        Raises:
            NotFound: there is no index.
            DamagedIndex: a file is missing or does not match its checksum.
            StoreAway: its vectors are on a server that does not respond.
            MissingExtra: it needs a package that is not installed.
        """
        return cls(Path(folder), Bundle.open(Path(folder), trust), device, precision, rerank)

    @classmethod
    def build(
        cls,
        source: str | Path,
        folder: str | Path,
        encoder: str | Path = "default",
        options: BuildOptions | None = None,
    ) -> "Index":
        """Builds an index of photographs, or a new generation of the index in the folder, and opens it.

        Photographs that were embedded before are not embedded again, and an interrupted build is resumed.

        Args:
            source: a folder of photographs, `NAME/domain` of a data set, or an address such as `s3://bucket/north`.
            folder: the folder of the index.
            encoder: see `Encoder.load`.
            options: device, precision, kind of index and others; shows no progress bar by default.

        Raises:
            DacoError: the user can correct the cause; the class says which kind it is.
        """
        options = options or BuildOptions(progress=False)
        build_index(str(source), str(encoder), Path(folder), options)
        return cls.open(folder, options.device, trust=options.trust)

    @property
    def count(self) -> int:
        """The number of reference photographs."""
        return self.bundle.manifest.count

    @property
    def generation(self) -> int:
        """The number of the generation."""
        return self.bundle.generation

    def search(self, photograph: Photograph, k: int = 5, area: SearchArea | None = None) -> list[SearchMatch]:
        """The k reference photographs most similar to a path or Pillow image, best first.

        Args:
            area: where to search; None for everywhere.

        Raises:
            UnreadableImage: the file is not an image, or is damaged.
            UsageError: the photograph is too narrow.
            NotFound: no reference photograph lies in the area.
        """
        return list(self._look_up(photograph, k, area).matches)

    def search_many(
        self,
        photographs: Iterable[Photograph],
        k: int = 5,
        area: SearchArea | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[list[SearchMatch]]:
        """Looks up a query set: yields the matches of each photograph, in order, at the speed of a build.

        Args:
            photographs: paths or Pillow images, also from a generator; at most one batch is in memory.
            batch_size: number of photographs embedded at once.

        Raises:
            Error: see `search`; raised when the photograph in question is reached.
        """
        engine, among = self.engine.for_many(), self._among(area)
        for images in prepared_batches(engine, photographs, batch_size):
            embedding = engine.embed_prepared_with_local(images)
            yield from self.bundle.search(embedding.descriptors, k, among, embedding.local, self.rerank)

    def search_descriptor(
        self, descriptor: NDArray[np.float32], k: int = 5, area: SearchArea | None = None
    ) -> list[SearchMatch]:
        """Like `search`, for a descriptor, (dimension,), that this index's encoder computed; without re-ranking."""
        return self.bundle.search(descriptor[None], k, self._among(area))[0]

    def localize(self, photograph: Photograph, area: SearchArea | None = None) -> Estimate:
        """Where a photograph was taken, and with which certainty: the same estimate as from a server of this index.

        Probabilities are known if the index was calibrated (`daco-bench calibrate`), or if its encoder ships with a
        prior calibration. Arguments and errors are those of `search`.
        """
        return self._look_up(photograph, 1, area).estimate

    def _look_up(self, photograph: Photograph, k: int, area: SearchArea | None) -> Lookup:
        embedding = self.engine.embed_prepared_with_local([prepare(self.engine, photograph)])
        options = QueryOptions(k, area, self.rerank)
        return look_up(self.bundle, self.calibration, embedding, options, self._among(area))

    def _among(self, area: SearchArea | None) -> Sequence[int] | None:
        if area is None:
            return None
        ids = area.ids(self.bundle.catalog)
        if not ids:
            raise NotFound(f"No reference photograph lies {area}.")
        return ids
