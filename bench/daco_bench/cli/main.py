"""`daco-bench`: collects the commands for benchmarks."""

from daco_bench.cli import (
    all as bench_all_cli,
)
from daco_bench.cli import (
    calibrate as bench_calibrate_cli,
)
from daco_bench.cli import (
    figures as bench_picture_cli,
)
from daco_bench.cli import (
    recall as bench_recall_cli,
)
from daco_bench.cli import (
    reproduce as bench_reproduce_cli,
)
from daco_bench.cli import (
    search as bench_search_cli,
)
from daco_bench.cli import (
    sequence as bench_sequence_cli,
)
from daco_bench.cli import (
    serve as bench_serve_cli,
)
from daco_bench.cli import (
    train as bench_train_cli,
)
from daco_bench.cli import (
    viewpoint as bench_viewpoint_cli,
)
from daco_core.console import new_app, run

app = new_app("Measure recall, calibration and speed, compare methods, and draw figures.")
for commands in (
    bench_recall_cli,
    bench_reproduce_cli,
    bench_viewpoint_cli,
    bench_picture_cli,
    bench_calibrate_cli,
    bench_search_cli,
    bench_sequence_cli,
    bench_serve_cli,
    bench_train_cli,
    bench_all_cli,
):
    app.add_typer(commands.app)


def main() -> None:
    run(app)


if __name__ == "__main__":
    main()
