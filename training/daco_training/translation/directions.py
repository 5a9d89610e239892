"""Which domain is translated to which other one, and which condition (night, fog, snow) a domain shows."""

from pathlib import Path

import numpy as np

from daco_core.errors import NotFound
from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_training.translation.scene.light import luminance, to_linear

NIGHT_WORDS = ("night", "dark")
FOG_WORDS = ("fog", "haze", "hazy", "mist")
SNOW_WORDS = ("snow", "winter")
NIGHT_SHARE = 0.5  # an unnamed domain is night if its mean luminance is below this share of the brightest domain's
SAMPLE = 32  # photographs on which a domain's brightness is measured


def target_of(domain: str) -> str:
    """The target of a domain: `domain_a` is translated to `domain_b`, every other one to `domain_a`."""
    return "domain_b" if domain == "domain_a" else "domain_a"


def domain_of(dataset: DataSet, photograph: Path) -> str:
    """The domain folder of an original."""
    return photograph.relative_to(dataset.folder / "original").parts[0]


def target_photographs(dataset: DataSet, method: str) -> dict[str, list[Path]]:
    """The training photographs of each domain that is a target of translation.

    Args:
        method: the method that needs them, for the message.

    Raises:
        DacoError: a target domain has no training photographs.
    """
    targets = sorted({target_of(domain) for domain in dataset.domains})
    photographs = {target: dataset.images(target, "train") for target in targets}
    for target, found in photographs.items():
        if not found:
            raise NotFound(
                f"Method {method} learns the look of the other domain from its photographs, and "
                f"{dataset.split_folder(target, 'train')} has none; night, fog and snow need only one domain."
            )
    return photographs


def night_domains(dataset: DataSet) -> set[str]:
    """The night domains: those with such a name, and unnamed ones that are much darker than the brightest.

    A single unnamed domain is taken to be day.
    """
    names = dataset.domain_names
    unnamed = [domain for domain in dataset.domains if domain not in names]
    by_name = {domain for domain in dataset.domains if _is_called(names.get(domain, ""), NIGHT_WORDS)}
    if not unnamed or len(dataset.domains) < 2:
        return by_name
    brightness = {domain: _mean_luminance(dataset, domain) for domain in dataset.domains}
    brightest = max(brightness.values())
    return by_name | {domain for domain in unnamed if brightness[domain] < NIGHT_SHARE * brightest}


def foggy_domains(dataset: DataSet) -> set[str]:
    """The domains named after fog, haze or mist; unnamed domains (without `domains.json`) are taken to be clear."""
    return {domain for domain, name in dataset.domain_names.items() if _is_called(name, FOG_WORDS)}


def snowy_domains(dataset: DataSet) -> set[str]:
    """The domains named after snow or winter."""
    return {domain for domain, name in dataset.domain_names.items() if _is_called(name, SNOW_WORDS)}


def _is_called(name: str, words: tuple[str, ...]) -> bool:
    return any(word in name.lower() for word in words)


def _mean_luminance(dataset: DataSet, domain: str) -> float:
    photographs = dataset.images(domain, "train") or dataset.images(domain, "val")
    chosen = photographs[:: max(len(photographs) // SAMPLE, 1)][:SAMPLE]
    return float(np.mean([luminance(to_linear(open_rgb(photograph))).mean() for photograph in chosen] or [0.0]))
