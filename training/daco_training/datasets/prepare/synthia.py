"""Converts SYNTHIA-SEQS to pairs of the same street at sunset and on a rainy night.

The official downloads, unpacked in one folder: `SYNTHIA-SEQS-NN-{SUNSET,RAINNIGHT}/RGB/Stereo_Left/Omni_{F,B,L,R}/
NNNNNN.png`. Their camera poses are in an invented world, so there are no positions on the earth.
"""

import re
from pathlib import Path

from daco_core.errors import NotFound, UsageError
from daco_core.photographs.layout import PUBLISHED_DOMAINS
from daco_training.datasets.prepare.placing import DownloadedPhotograph, Plan, some

CAMERAS = ("F", "B", "L", "R")
VALIDATION_FRAMES = 15  # for each of four cameras: the 60 published pairs
# the published code trains on sequence 05 and adds frames of 02
DEFAULT_HOLDOUT = "02"
WEATHERS = ("SUNSET", "RAINNIGHT")

Frames = dict[tuple[str, str], Path]
"""(frame, camera) to file."""


def plan_synthia(archive: Path, holdout: str = DEFAULT_HOLDOUT) -> Plan:
    """Plans the conversion; a pair has the same name, `SEQUENCE_CAMERA_FRAME.png`, in both domains.

    The held-out sequence gives the validation pairs, 15 frames evenly spread over it; all others are for training.

    Raises:
        DacoError: no sequence has both weathers, or the held-out one is not among those, or is the only one.
    """
    sequences = _find_sequences(archive)
    if holdout not in sequences:
        raise UsageError(
            f"Sequence {holdout} cannot be held out: the sequences in both weathers are {', '.join(sequences)}. "
            "Choose one of them with --holdout, or unpack the missing one."
        )
    if len(sequences) == 1:
        raise UsageError(
            f"Sequence {holdout} is the only one in both weathers: holding it out leaves nothing to train on."
        )
    photographs: list[DownloadedPhotograph] = []
    missing: list[str] = []
    doubts: list[str] = []
    for sequence, folders in sequences.items():
        sunset, rain = (_frames(folder) for folder in folders)
        for folder in folders:
            lacking = [f"Omni_{camera}" for camera in CAMERAS if not (_cameras(folder) / f"Omni_{camera}").is_dir()]
            if lacking:
                missing.append(f"{folder.name} has no {', '.join(lacking)} in RGB/Stereo_Left.")
        pairs = sorted(sunset.keys() & rain.keys())
        alone = sorted(sunset.keys() ^ rain.keys())
        if alone:
            names = [f"{camera}_{frame}" for frame, camera in alone]
            doubts.append(f"Sequence {sequence}: {len(alone)} frames have one weather only, left out: {some(names)}.")
        split = "train"
        if sequence == holdout:
            split = "val"
            frames = _spread(sorted({frame for frame, _ in pairs}), VALIDATION_FRAMES)
            pairs = [(frame, camera) for frame, camera in pairs if frame in frames]
            if len(pairs) != VALIDATION_FRAMES * len(CAMERAS):
                missing.append(f"Sequence {sequence} gives {len(pairs)} validation pairs, not 60.")
        photographs += [
            DownloadedPhotograph(source[frame, camera], domain, split, f"{sequence}_{camera}_{frame}.png")
            for domain, source in (("domain_a", sunset), ("domain_b", rain))
            for frame, camera in pairs
        ]
    domain_names = dict(zip(("domain_a", "domain_b"), PUBLISHED_DOMAINS["synthia"], strict=True))
    return Plan(photographs, domain_names, missing, doubts, {"archive": "synthia", "holdout": holdout})


def _find_sequences(archive: Path) -> dict[str, tuple[Path, Path]]:
    """Sequence number to its sunset and rain folders, for the sequences that have both."""
    found: dict[str, dict[str, Path]] = {}
    for folder in sorted([*archive.glob("SYNTHIA-SEQS-*"), *archive.glob("*/SYNTHIA-SEQS-*")]):
        match = re.fullmatch(r"SYNTHIA-SEQS-(\d\d)-([A-Z]+)", folder.name)
        if match and match[2] in WEATHERS and _cameras(folder).is_dir():
            found.setdefault(match[1], {})[match[2]] = folder
    both = {number: (of["SUNSET"], of["RAINNIGHT"]) for number, of in sorted(found.items()) if len(of) == len(WEATHERS)}
    if not both:
        raise NotFound(
            f"{archive} contains no sequence in both weathers: unpack SYNTHIA-SEQS-NN-SUNSET and "
            "SYNTHIA-SEQS-NN-RAINNIGHT there, for at least two sequences."
        )
    return both


def _cameras(folder: Path) -> Path:
    return folder / "RGB" / "Stereo_Left"


def _frames(folder: Path) -> Frames:
    return {
        (path.stem, camera): path
        for camera in CAMERAS
        for path in (_cameras(folder) / f"Omni_{camera}").glob("*.png")
        if path.stem.isdigit()
    }


def _spread(frames: list[str], count: int) -> set[str]:
    """`count` of the frames, evenly spaced, or all if there are fewer."""
    if len(frames) <= count:
        return set(frames)
    return {frames[(2 * step + 1) * len(frames) // (2 * count)] for step in range(count)}
