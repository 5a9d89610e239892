"""Compares the methods: trains those that are not trained yet under the same budget, and evaluates all alike."""

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
    """The answers of all methods, with the same settings except for each method's published batch size and momentum.

    A method that is named twice is evaluated once.

    Args:
        candidates: number of candidates to re-rank, if the encoder has local descriptors; these answers are added.

    Raises:
        DacoError: a run fails, or the data set cannot be used for validation.
    """
    runs = {method: settings.but(method_name=method, batch_size=None, momentum=None) for method in methods}
    return [answers for method, run in runs.items() for answers in train_and_ask(run, method, candidates)]


def train_and_ask(run: TrainSettings, label: str, candidates: int = 0) -> list[Retrieval]:
    """Trains a run and returns its answers on the validation photographs; then the re-ranked ones, if any.

    A run that was finished with these settings is reused; one that was interrupted is resumed.

    Raises:
        DacoError: a run with other settings is stored in its place, the run fails or is stopped, or the data set cannot
            be used for validation.
    """
    train_or_resume(run)
    task = validation_task(DataSet(run.data_root, run.data_name))
    engine = create_engine(find_encoder(str(run.encoder_folder)), goal="throughput")
    return retrieve_reranked(task, engine, label, max(DEPTH, *run.ranks), candidates)


def train_or_resume(run: TrainSettings) -> None:
    """Trains a run to its end; a stored one is resumed, or reused if it was finished.

    Raises:
        DacoError: the stored run differs in a relevant setting, including the iterations; or the run fails or is
            stopped.
    """
    stored = run.checkpoint_file.exists()
    if stored:
        run.check_same(stored_settings(run.checkpoint_file), run.checkpoint_file)
    if not train(run, resume=stored).finished:
        raise DacoError("Stopped: the same command resumes it.")
