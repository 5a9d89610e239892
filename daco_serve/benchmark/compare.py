"""The methods side by side: trains what is not trained yet under one budget, and measures all."""

from collections.abc import Sequence

from daco_serve.benchmark.recall import validation_recall
from daco_serve.benchmark.table import RecallRow
from training.datasets.layout import DataSet
from training.encoder import Encoder
from training.errors import DacoError
from training.settings import TrainSettings
from training.trainer import train


def compare_methods(settings: TrainSettings, methods: Sequence[str]) -> list[RecallRow]:
    """Recall rows of all methods under the same settings but for the published batch size and momentum of each.

    Raises:
        DacoError: a run cannot be made, or the data set cannot be validated on.
    """
    rows: list[RecallRow] = []
    for method in methods:
        rows += train_and_measure(settings.but(method_name=method, batch_size=None, momentum=None), method)
    return rows


def train_and_measure(run: TrainSettings, label: str) -> list[RecallRow]:
    """The recall rows of a run, which is trained first.

    A run that was finished under these settings is taken as it is; one that was stopped goes on.

    Raises:
        DacoError: the run cannot be made or was stopped, or the data set cannot be validated on.
    """
    if not train(run, resume=run.checkpoint_file.exists()).finished:
        raise DacoError("Stopped: the same command goes on.")
    return validation_recall(Encoder.load(run.encoder_folder), DataSet(run.data_root, run.data_name), run.ranks, label)
