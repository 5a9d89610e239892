"""The same photographs under every translator, side by side, for a person to choose by."""

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
    """The sheet that was written, and why a method is not on it, by method."""

    sheet: Path
    left_out: dict[str, str]


def compare_translators(dataset: DataSet, out: Path | None = None, seed: int = 0) -> TranslatorComparison:
    """Writes a sheet of 8 photographs, each under every translator that can work on this data set; trains nothing.

    Args:
        out: the picture's file; without one `translation/compare.jpg` in the data set.

    Raises:
        DacoError: there are no photographs, no translator can work, or the sheet cannot be written.
    """
    photographs = sample_photographs(dataset, SPLITS)
    if not photographs:
        raise NotFound(f"{dataset.folder / 'original'} holds no photographs.")
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
