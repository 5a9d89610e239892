"""The methods side by side: trains what is not trained yet under one budget, and measures all."""

from collections.abc import Sequence

from daco_serve.benchmark.recall import pair_recall
from daco_serve.benchmark.table import RecallRow
from training.datasets.layout import DataSet
from training.encoder import Encoder
from training.errors import DacoError
from training.settings import TrainSettings
from training.trainer import train


def compare_methods(settings: TrainSettings, methods: Sequence[str]) -> list[RecallRow]:
    """Recall rows of all methods under the same settings but for the published batch size and momentum of each.

    A run that was finished under these settings is taken as it is; one that was stopped goes on.

    Raises:
        DacoError: a run cannot be made, or the data set has no validation pairs.
    """
    rows: list[RecallRow] = []
    for method in methods:
        run = settings.but(method_name=method, batch_size=None, momentum=None)
        if not train(run, resume=run.checkpoint_file.exists()).finished:
            raise DacoError("Stopped: the same command goes on.")
        encoder = Encoder.load(run.encoder_folder)
        rows += pair_recall(encoder, DataSet(run.data_root, run.data_name), run.ranks, method)
    return rows
