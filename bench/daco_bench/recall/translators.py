"""Compares translators: daco trained under the same budget with the twins of each."""

from collections.abc import Sequence

from daco_bench.recall.compare import train_and_ask
from daco_bench.recall.retrieval import Retrieval
from daco_bench.reproduction.data import link_data_set
from daco_core.photographs.layout import DataSet
from daco_training.loop.settings import TrainSettings
from daco_training.translation.generate import generate_twins
from daco_training.translation.translator import check_translator


def compare_translators(settings: TrainSettings, translators: Sequence[str], candidates: int = 0) -> list[Retrieval]:
    """The answers of daco with the twins of each translator, with otherwise equal settings.

    If the encoder has local descriptors and there are candidates, the re-ranked answers follow.

    The data set's own `generated/` is not changed: each translator's twins are written to
    `save_root/twins/TRANSLATOR/data_name/generated`, next to links to the originals.

    Raises:
        DacoError: there is no such translator, it does not support the data set, the twins in `save_root` belong to
            another data set, or a run fails.
    """
    for name in translators:
        check_translator(name)
    runs = {}
    for name in translators:  # all twins before any training, because not every translator supports every data set
        root = settings.save_root / "twins" / name
        generate_twins(link_data_set(DataSet(settings.data_root, settings.data_name), root), name, settings.seed)
        runs[name] = settings.but(method_name="daco", data_root=root, save_root=settings.save_root / name)
    return [answers for name, run in runs.items() for answers in train_and_ask(run, f"daco, {name} twins", candidates)]
