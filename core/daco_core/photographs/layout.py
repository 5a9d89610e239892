"""The published folder layout: `{original,generated}/{domain_a,domain_b,...}/{train,val}/*.png|jpg`."""

import glob
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daco_core.errors import DacoError, NotFound
from daco_core.photographs.images import list_images

SPLITS = ("train", "val")

# the names of the two domains of the published data sets, in the order a, b
PUBLISHED_DOMAINS: dict[str, tuple[str, str]] = {
    "tokyo": ("day", "night"),
    "cityscapes": ("clear", "foggy"),
    "synthia": ("sunset", "rainnight"),
}

DOMAIN_NAMES_FILE = "domains.json"


@dataclass(frozen=True)
class DataSet:
    """A data set in the published layout: the folder `data_root/name`.

    Raises:
        NotFound: there is no such data set.
    """

    data_root: Path
    name: str

    def __post_init__(self) -> None:
        if not (self.folder / "original").is_dir():
            here = sorted(path.parent.name for path in self.data_root.glob("*/original"))
            known = f"data sets there: {', '.join(here)}" if here else "there is no data set below it yet"
            raise NotFound(f"No data set {self.name!r}: {self.folder / 'original'} is not a folder; {known}.")

    @property
    def folder(self) -> Path:
        return self.data_root / self.name

    @property
    def domains(self) -> list[str]:
        """The domain folders that exist: `domain_a`, `domain_b`, and further ones, in order."""
        return sorted(path.name for path in (self.folder / "original").glob("domain_*") if path.is_dir())

    @property
    def domain_names(self) -> dict[str, str]:
        """Domain folder to its name, `{"domain_a": "day", ...}`: from `domains.json`, or as published."""
        file = self.folder / DOMAIN_NAMES_FILE
        if file.is_file():
            try:
                names = json.loads(file.read_text())
                return {str(domain): str(name) for domain, name in names.items()}
            except (ValueError, AttributeError) as error:
                raise DacoError(f"{file} is not a JSON object of domain names: {error}") from error
        published = PUBLISHED_DOMAINS.get(self.name, ())
        return dict(zip(("domain_a", "domain_b"), published, strict=False))

    def find_domain(self, name: str) -> str:
        """The domain folder for `domain_a` or for a name such as `day`.

        Raises:
            NotFound: this data set has no such domain.
        """
        for domain in self.domains:
            if name in (domain, self.domain_names.get(domain)):
                return domain
        known = [self.domain_names.get(domain, domain) for domain in self.domains]
        raise NotFound(f"Data set {self.name!r} has no domain {name!r}; it has {', '.join(known)}.")

    def split_folder(self, domain: str, split: str, kind: str = "original") -> Path:
        return self.folder / kind / domain / split

    def images(self, domain: str, split: str, kind: str = "original") -> list[Path]:
        """The photographs of one domain and split, sorted by name: the order that pairs domains."""
        return list_images(self.split_folder(domain, split, kind))

    def training_images(self) -> list[Path]:
        """The originals of all domains used for training, in the order that defines each photograph's index.

        Raises:
            NotFound: there are none.
        """
        images = [image for domain in self.domains for image in self.images(domain, "train")]
        if not images:
            raise NotFound(f"{self.folder / 'original'} holds no training photographs (domain_*/train/*.png|jpg).")
        return images

    def twin(self, image: Path) -> Path:
        """The path of an original's generated twin: the same path under `generated`.

        The twin may have another image suffix than the original (for example PNG twins in a data set of JPEG files).
        """
        relative = image.relative_to(self.folder / "original")
        exact = self.folder / "generated" / relative
        if exact.exists():
            return exact
        named_alike = exact.parent.glob(f"{glob.escape(exact.stem)}.*") if exact.parent.is_dir() else ()
        return min((path for path in named_alike if path.stem == exact.stem), default=exact)

    def fingerprint(self, images: Sequence[Path]) -> str:
        """A hash of these photographs and their order."""
        names = "\n".join(image.relative_to(self.folder).as_posix() for image in images)
        return hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()
