"""Converts Cityscapes and Foggy Cityscapes-DBF to pairs of clear and foggy photographs.

The official downloads, unpacked in one folder or side by side: `leftImg8bit/{train,val}/CITY/*_leftImg8bit.png`
(leftImg8bit_trainvaltest.zip), `leftImg8bit_foggyDBF/{train,val}/CITY/*_leftImg8bit_foggy_beta_B.png`
(leftImg8bit_trainvaltest_foggyDBF.zip, with B 0.005, 0.01 or 0.02), and optionally
`vehicle/{train,val}/CITY/*_vehicle.json` (vehicle_trainvaltest.zip) for positions.
"""

import json
from pathlib import Path

from daco_core.errors import DacoError, UsageError
from daco_core.photographs.layout import PUBLISHED_DOMAINS, SPLITS
from daco_core.photographs.locations import PhotoLocation
from daco_training.datasets.prepare.placing import DownloadedPhotograph, Plan, find_folder, some

OFFICIAL = {"train": 2975, "val": 500}
BETAS = ("0.005", "0.01", "0.02")
CLEAR_END = "_leftImg8bit.png"


def plan_cityscapes(archive: Path, beta: str = "0.02") -> Plan:
    """Plans the conversion; a pair has the same name, `CITY_SEQUENCE_FRAME.png`, in both domains.

    Args:
        beta: the density of the fog, as written in the file names.

    Raises:
        DacoError: a download is missing, or there is no such beta.
    """
    if beta not in BETAS:
        raise UsageError(f"Foggy Cityscapes has no fog with beta {beta!r}: choose {', '.join(BETAS)}.")
    clear_root, foggy_root = find_folder(archive, "leftImg8bit"), find_folder(archive, "leftImg8bit_foggyDBF")
    foggy_end = f"_leftImg8bit_foggy_beta_{beta}.png"
    photographs, missing = [], []
    for split in SPLITS:
        clear = _frames(clear_root / split, CLEAR_END)
        foggy = _frames(foggy_root / split, foggy_end)
        pairs = sorted(clear.keys() & foggy.keys())
        for there, lacking, what in ((clear, foggy, "foggy"), (foggy, clear, "clear")):
            alone = sorted(there.keys() - lacking.keys())
            if alone:
                missing.append(f"{split}: {len(alone)} frames have no {what} photograph: {some(alone)}.")
        if len(pairs) != OFFICIAL[split]:
            missing.append(f"{split}: {len(pairs)} pairs exist, but the official download has {OFFICIAL[split]}.")
        for name in pairs:
            location = _location(
                clear_root.parent / "vehicle" / split / clear[name].parent.name / f"{name}_vehicle.json"
            )
            photographs += [
                DownloadedPhotograph(source[name], domain, split, f"{name}.png", location)
                for domain, source in (("domain_a", clear), ("domain_b", foggy))
            ]
    names = dict(zip(("domain_a", "domain_b"), PUBLISHED_DOMAINS["cityscapes"], strict=True))
    return Plan(photographs, names, missing, options={"archive": "cityscapes", "beta": beta})


def _frames(folder: Path, end: str) -> dict[str, Path]:
    """Frame name to file, for all cities."""
    return {path.name.removesuffix(end): path for path in folder.glob(f"*/*{end}")}


def _location(file: Path) -> PhotoLocation | None:
    """The car's position from its odometry file, with its heading, which equals the camera's."""
    if not file.is_file():
        return None
    try:
        vehicle = json.loads(file.read_text())
        return PhotoLocation(
            float(vehicle["gpsLatitude"]), float(vehicle["gpsLongitude"]), float(vehicle["gpsHeading"]) % 360
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DacoError(f"{file} is not a Cityscapes vehicle file: {error}") from error
