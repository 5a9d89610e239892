"""Concurrent queries do not split their small matrix products among threads."""

from pathlib import Path

from threadpoolctl import threadpool_info, threadpool_limits

from daco_serve.engine.service import Service
from daco_serve.operation.settings import ServeSettings


def test_matrix_products_of_a_query_use_one_thread(tmp_path: Path) -> None:
    with threadpool_limits(2, user_api="blas"):
        Service(ServeSettings(index=(str(tmp_path),), device="cpu")).close()
        threads = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        assert threads and set(threads) == {1}
