"""The methods side by side: trains what is not trained yet under one budget, and asks all the same."""

from collections.abc import Sequence

from daco_bench.recall.reranked import retrieve_reranked
from daco_bench.recall.retrieval import DEPTH, Retrieval
from daco_bench.recall.task import validation_task
from daco_core.errors import DacoError
from daco_core.photographs.layout import DataSet
from daco_index.embedding.encoders import find_encoder
from daco_index.embedding.engines.create import create_engine
from daco_training.loop.checkpoint import stored_settings
from daco_training.loop.settings import TrainSettings
from daco_training.loop.trainer import train


def compare_methods(settings: TrainSettings, methods: Sequence[str], candidates: int = 0) -> list[Retrieval]:
    """The answers of all methods under the same settings but for the published batch size and momentum of each.

    A method that is named twice is taken once.

    Args:
        candidates: how many answers are ranked again, where the encoder has local descriptors; these answers follow.

    Raises:
        DacoError: a run cannot be made, or the data set cannot be validated on.
    """
    runs = {method: settings.but(method_name=method, batch_size=None, momentum=None) for method in methods}
    return [answers for method, run in runs.items() for answers in train_and_ask(run, method, candidates)]


def train_and_ask(run: TrainSettings, label: str, candidates: int = 0) -> list[Retrieval]:
    """The answers, on the validation photographs, of a run that is trained first; then those ranked again, if any.

    A run that was finished under these settings is taken as it is; one that was stopped is resumed.

    Raises:
        DacoError: a run with other settings is stored in its place, the run cannot be made or was stopped, or the data
            set cannot be validated on.
    """
    train_or_resume(run)
    task = validation_task(DataSet(run.data_root, run.data_name))
    engine = create_engine(find_encoder(str(run.encoder_folder)), goal="throughput")
    return retrieve_reranked(task, engine, label, max(DEPTH, *run.ranks), candidates)


def train_or_resume(run: TrainSettings) -> None:
    """Trains a run to its end; one that is stored is resumed, or taken as it is if it was finished.

    Raises:
        DacoError: the stored run differs in a setting that counts, iterations included; the run cannot be made or was
            stopped.
    """
    stored = run.checkpoint_file.exists()
    if stored:
        run.check_same(stored_settings(run.checkpoint_file), run.checkpoint_file)
    if not train(run, resume=stored).finished:
        raise DacoError("Stopped: the same command resumes it.")
