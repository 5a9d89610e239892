"""The translators side by side: daco trained under one budget with the twins of each."""

import os
from collections.abc import Sequence
from pathlib import Path

from daco_serve.benchmark.compare import train_and_ask
from daco_serve.benchmark.retrieval import Retrieval
from training.datasets.layout import DOMAIN_NAMES_FILE, DataSet
from training.errors import DacoError
from training.settings import TrainSettings
from training.translation.generate import generate_twins

SHARED = ("original", DOMAIN_NAMES_FILE, "depth", "translation")  # what all translators' copies of a data set share


def compare_translators(settings: TrainSettings, translators: Sequence[str]) -> list[Retrieval]:
    """The answers of daco with the twins of each translator, under the same settings otherwise.

    The data set's own `generated/` is left as it is: each translator's twins go to
    `save_root/twins/TRANSLATOR/data_name/generated`, beside links to the originals.

    Raises:
        DacoError: a translator cannot work on the data set, or a run cannot be made.
    """
    answers: list[Retrieval] = []
    for translator in translators:
        root = settings.save_root / "twins" / translator
        twins = _link_data_set(DataSet(settings.data_root, settings.data_name), root)
        generate_twins(twins, translator, settings.seed)
        run = settings.but(method_name="daco", data_root=root, save_root=settings.save_root / translator)
        answers += train_and_ask(run, f"daco, {translator} twins")
    return answers


def _link_data_set(dataset: DataSet, root: Path) -> DataSet:
    folder = root / dataset.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in SHARED:
            source, link = (dataset.folder / name).absolute(), folder / name
            if source.exists() and not os.path.lexists(link):
                link.symlink_to(source)
    except OSError as error:
        raise DacoError(f"{folder} cannot be made: {error}") from error
    return DataSet(root, dataset.name)
