"""The translators side by side: daco trained under one budget with the twins of each."""

import os
from collections.abc import Sequence
from pathlib import Path

from daco_bench.recall.compare import train_and_ask
from daco_bench.recall.retrieval import Retrieval
from daco_core.errors import DacoError, UsageError
from daco_core.photographs.layout import DOMAIN_NAMES_FILE, DataSet
from daco_training.loop.settings import TrainSettings
from daco_training.translation.generate import generate_twins
from daco_training.translation.translator import check_translator

SHARED = ("original", DOMAIN_NAMES_FILE, "depth", "translation")  # what all translators' copies of a data set share


def compare_translators(settings: TrainSettings, translators: Sequence[str]) -> list[Retrieval]:
    """The answers of daco with the twins of each translator, under the same settings otherwise.

    The data set's own `generated/` is left as it is: each translator's twins go to
    `save_root/twins/TRANSLATOR/data_name/generated`, beside links to the originals.

    Raises:
        DacoError: there is no such translator, it cannot work on the data set, the twins in `save_root` are of another
            data set, or a run cannot be made.
    """
    for name in translators:
        check_translator(name)
    runs = {}
    for name in translators:  # all twins before anything is trained: not every translator works on every data set
        root = settings.save_root / "twins" / name
        generate_twins(_link_data_set(DataSet(settings.data_root, settings.data_name), root), name, settings.seed)
        runs[name] = settings.but(method_name="daco", data_root=root, save_root=settings.save_root / name)
    return [answers for name, run in runs.items() for answers in train_and_ask(run, f"daco, {name} twins")]


def _link_data_set(dataset: DataSet, root: Path) -> DataSet:
    folder = root / dataset.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in SHARED:
            source, link = (dataset.folder / name).absolute(), folder / name
            if os.path.lexists(link) and link.resolve() != source.resolve():
                raise UsageError(f"{link} is of the data set in {link.resolve().parent}: choose another --save-root.")
            if source.exists() and not os.path.lexists(link):
                link.symlink_to(source)
    except OSError as error:
        raise DacoError(f"{folder} cannot be made: {error}") from error
    return DataSet(root, dataset.name)
