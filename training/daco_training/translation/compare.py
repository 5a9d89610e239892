"""Compares all translators on the same photographs, side by side on a contact sheet."""

from dataclasses import dataclass
from pathlib import Path

from daco_core.errors import DacoError, NotFound
from daco_core.photographs.contact_sheet import contact_sheet, save_picture
from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import SPLITS, DataSet
from daco_training.translation.generate import make_twin, sample_photographs
from daco_training.translation.translator import TRANSLATORS, Translator


@dataclass(frozen=True)
class TranslatorComparison:
    """The contact sheet, and for each method that is not on it, the reason."""

    sheet: Path
    left_out: dict[str, str]


def compare_translators(dataset: DataSet, out: Path | None = None, seed: int = 0) -> TranslatorComparison:
    """Draws a sheet of 8 photographs, each with every translator that supports this data set; trains nothing.

    Args:
        out: the picture's file; None for `translation/compare.jpg` in the data set.

    Raises:
        DacoError: there are no photographs, no translator supports the data set, or the sheet cannot be written.
    """
    photographs = sample_photographs(dataset, SPLITS)
    if not photographs:
        raise NotFound(f"{dataset.folder / 'original'} contains no photographs.")
    translators: dict[str, Translator] = {}
    left_out: dict[str, str] = {}
    for method, make in TRANSLATORS.items():
        try:
            translators[method] = make(dataset)
        except DacoError as error:
            left_out[method] = str(error)
    rows = [
        [
            open_rgb(photograph),
            *(make_twin(dataset, translator, photograph, seed) for translator in translators.values()),
        ]
        for photograph in photographs
    ]
    sheet = out or dataset.folder / "translation" / "compare.jpg"
    save_picture(contact_sheet(rows, ["original", *translators], cell=256), sheet)
    return TranslatorComparison(sheet, left_out)
