"""`Index`: reference photographs to look others up in."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import NotFound
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.embedding.precision_record import PrecisionRequest
from daco_index.reranking.rerank import CANDIDATES
from daco_index.search.bundle import Bundle, SearchMatch
from daco_serve.api.encoder import BATCH_SIZE
from daco_serve.api.photographs import Photograph, prepare, prepared_batches
from daco_serve.engine.answers import Estimate, QueryOptions, SearchArea
from daco_serve.engine.lookup import Lookup, calibration_of, look_up


class Index:
    """The live generation of an index, as it was when it was opened. Any number of threads may search it.

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
        """The index in a folder, once every byte of it has been verified.

        Args:
            device: `cpu`, `cuda`, `cuda:1`, ...; `auto` takes the GPU if there is one.
            precision: in which queries are embedded; `auto` for what the index was built for.
            trust: execute the third-party code of an index with a `torchhub:` encoder.
            rerank: how many candidates of a query are ranked again by local descriptors, in an index that has them; 0
                for none.

        Raises:
            NotFound: there is no index.
            DamagedIndex: a file is missing or not as it was written.
            StoreAway: its vectors are in a server that does not answer.
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
        """Builds an index of photographs, or a new generation of the index that is in the folder, and opens it.

        What was embedded before is not embedded again, and a build that was stopped is resumed.

        Args:
            source: a folder of photographs, `NAME/domain` of a data set, or an address such as `s3://bucket/north`.
            folder: where the index is to be.
            encoder: as `Encoder.load` takes it.
            options: device, precision, kind of index and the like; without a progress bar unless they say so.

        Raises:
            DacoError: anything that can be put right, by its kind.
        """
        options = options or BuildOptions(progress=False)
        build_index(str(source), str(encoder), Path(folder), options)
        return cls.open(folder, options.device, trust=options.trust)

    @property
    def count(self) -> int:
        """How many reference photographs it has."""
        return self.bundle.manifest.count

    @property
    def generation(self) -> int:
        """The number of the generation that answers."""
        return self.bundle.generation

    def search(self, photograph: Photograph, k: int = 5, area: SearchArea | None = None) -> list[SearchMatch]:
        """The k reference photographs most similar to a path or Pillow image, the best first.

        Args:
            area: where to look; everywhere unless given.

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
        """As `search`, for a whole query set: the matches of each photograph, in their order, at the speed of a build.

        Args:
            photographs: paths or Pillow images, also from a generator; at most a batch is in memory.
            batch_size: how many the encoder takes at once.

        Raises:
            Error: as `search`, when the first photograph that it concerns is reached.
        """
        engine, among = self.engine.for_many(), self._among(area)
        for images in prepared_batches(engine, photographs, batch_size):
            embedding = engine.embed_prepared_with_local(images)
            yield from self.bundle.search(embedding.descriptors, k, among, embedding.local, self.rerank)

    def search_descriptor(
        self, descriptor: NDArray[np.float32], k: int = 5, area: SearchArea | None = None
    ) -> list[SearchMatch]:
        """As `search`, for a descriptor, (dimension,), that this index's encoder made; without re-ranking."""
        return self.bundle.search(descriptor[None], k, self._among(area))[0]

    def localize(self, photograph: Photograph, area: SearchArea | None = None) -> Estimate:
        """Where a photograph was taken, and how sure that is: what a server of this index would answer.

        Probabilities are known where the index has been calibrated (`daco-bench calibrate`). Arguments and errors are
        those of `search`.
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
