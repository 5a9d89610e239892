"""`daco-bench`: gathers the commands that measure."""

from daco_serve import (
    bench_all_cli,
    bench_calibrate_cli,
    bench_picture_cli,
    bench_recall_cli,
    bench_search_cli,
    bench_serve_cli,
    bench_train_cli,
)
from training.console import new_app, run

app = new_app("Measure: recall, methods side by side, speed, and how far answers can be trusted.")
for commands in (
    bench_recall_cli,
    bench_picture_cli,
    bench_calibrate_cli,
    bench_search_cli,
    bench_serve_cli,
    bench_train_cli,
    bench_all_cli,
):
    app.add_typer(commands.app)


def main() -> None:
    run(app)


if __name__ == "__main__":
    main()
