"""The benchmarks of the suite: for each its command line, and the important figures in its output."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HIGHER, LOWER = True, False

# the end of a figure's name, and which way is better; other figures are not reported
RECALLS = {"R@1": HIGHER, "R@2": HIGHER, "R@4": HIGHER, "R@5": HIGHER, "R@8": HIGHER, "R@20": HIGHER}
SEARCH = {
    "recall": HIGHER,
    "query_ms": LOWER,
    "batch_ms": LOWER,
    "build_cpu_seconds": LOWER,
    "bytes_per_vector": LOWER,
    "disk_bytes_per_vector": LOWER,
}
EMBED = {"bare": HIGHER, "decoding": HIGHER, "whole": HIGHER, "busy": HIGHER}
SERVE = {
    "per_second": HIGHER,
    "p50_ms": LOWER,
    "p95_ms": LOWER,
    "p99_ms": LOWER,
    "cpu_ms": LOWER,
    "errors": LOWER,
    "memory_mib": LOWER,
    "fastapi's": HIGHER,
    "litserve's": HIGHER,
}
TRAIN = {"step_seconds": LOWER, "images_per_second": HIGHER, "ratio": HIGHER, "peak_memory": LOWER, "waiting": LOWER}


@dataclass(frozen=True)
class SuitePart:
    """One benchmark of the suite.

    Args:
        name: for selecting it.
        title: in the report.
        options: the words after `daco-bench`.
        figures: the end of a figure's name to whether higher is better.
    """

    name: str
    title: str
    options: tuple[str, ...]
    figures: Mapping[str, bool]

    @property
    def command(self) -> tuple[str, ...]:
        """The whole command line."""
        return ("daco-bench", *self.options, "--json")


def all_parts(name: str, data_root: Path, work: Path, quick: bool) -> list[SuitePart]:
    """The suite, quick parts first.

    Args:
        name, data_root: the data set for training and evaluation, with twins.
        work: folder for trained encoders and indexes, so that an interrupted part can be resumed.
        quick: use the smallest sizes, to see that everything runs; the figures mean little.
    """
    data = ("--data-root", str(data_root))
    iters = ("--iters", "2") if quick else ("--iters", "100")
    size = ("--image-size", "64") if quick else ("--image-size", "160")
    seconds = ("--seconds", "1", "--rounds", "1") if quick else ("--seconds", "5")

    def trained(kind: str, *options: str) -> tuple[str, ...]:
        return (kind, name, *data, *options, *iters, *size, "--save-root", str(work / kind))

    def recall(*options: str) -> tuple[str, ...]:
        return ("recall", name, *data, *options)

    steps = ("--steps", "1", "--rounds", "1", "--backbone", "resnet18") if quick else ()
    warped = ("viewpoint", "--database", str(data_root / name / "original/domain_a/val"))
    speed = ("train", name, *data, *(size if quick else ()), *steps)
    sizes = ("index", "--sizes", "1e3" if quick else "1e4,1e5")
    embedding = ("embed", f"{name}/domain_a", *data, "--split", "val", "--rounds", "1" if quick else "3")
    serve = ("serve", "--concurrency", "1,4" if quick else "1,4,16,64", *seconds)
    return [
        SuitePart("recall", "Recall of the encoder that ships with the package", recall(), RECALLS),
        SuitePart("viewpoint", "Recall of photographs warped as by another camera", warped, RECALLS),
        SuitePart("embed", "Building an index compared with its bare engine", embedding, EMBED),
        SuitePart("serve", "The server compared with a bare loop, FastAPI and LitServe", serve, SERVE),
        SuitePart("index", "Search compared with FAISS, usearch and hnswlib", sizes, SEARCH),
        SuitePart("train", "Training compared with a loop like the published code's", speed, TRAIN),
        SuitePart("compare", "The methods, same budget", trained("compare", "--recipe", "modern"), RECALLS),
        SuitePart("translators", "The twins, same budget", trained("translators", "--recipe", "modern"), RECALLS),
        SuitePart("ablate", "The modern recipe without each of its parts", trained("ablate"), RECALLS),
    ]
