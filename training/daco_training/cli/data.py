"""`daco-data`: makes, translates and inspects data sets. Parses, calls, prints."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import PICTURES, check_output, new_app, option, run, words
from daco_core.option_groups import with_option_groups
from daco_core.photographs.layout import DataSet
from daco_core.recordings.arguments import RecordingArguments
from daco_training.cli import prepare as prepare_cli
from daco_training.cli.prepare import DataRoot

app = new_app(
    "Make data sets: convert downloads or your own folders, render the demo city, make generated twins for DaCo, "
    "and check for faults."
)
app.add_typer(prepare_cli.app, name="prepare")

Name = Annotated[str, typer.Argument(help="Data set below the data root, such as demo or tokyo.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]


@app.command()
def demo(
    data_root: DataRoot = Path("data"),
    places: Annotated[int, option("places", "Number of places, including those for validation.", min=2)] = 200,
    val_places: Annotated[
        int | None, option("val_places", "How many of them are for validation.", show_default="every fourth", min=1)
    ] = None,
    size: Annotated[int, option("size", "Shorter side of a photograph, in pixels.", min=64)] = 256,
    seed: Annotated[int, option("seed", "Random seed; the same seed gives the same city, byte for byte.", min=0)] = 0,
    domains: Annotated[
        str, option("domains", "Conditions to render, in this order: day, night, fog, sunset, rainy-night.")
    ] = "day,night,fog",
    viewpoint: Annotated[
        list[str] | None,
        option(
            "viewpoint",
            "METRES,DEGREES: also photograph each place from a camera that is moved and turned by that much; may be "
            "repeated.",
        ),
    ] = None,
    viewpoint_split: Annotated[
        str, option("viewpoint_split", "Split of the places to render from the viewpoints: train, val, or both.")
    ] = "train,val",
    depth: Annotated[bool, option("depth", "Also write a depth map for each photograph.")] = False,
    drive: Annotated[
        int, option("drive", "Also render a drive along this many of the first streets, a frame every 4 m.", min=0)
    ] = 0,
    workers: Annotated[int, option("workers", "Number of rendering processes; 0 for one per core.", min=0)] = 0,
) -> None:
    """Render the demo city into DATA_ROOT/demo: the same streets in each condition, with positions and camera poses.

    With --viewpoint 5,30, the folders demo/viewpoint/5m_30deg/domain_a/val and so on show each place from 5 m along the
    street, with the camera turned by 30 degrees towards what the place shows.

    With --drive 2, the folders demo/drive/day and so on show the view from a car on the first two streets.

    Ctrl-C stops it; the same command resumes. Places, domains, viewpoints and depth maps can be added later.

    Example: daco-data demo --places 200 --size 224 --viewpoint 2,15 --viewpoint 5,30 --viewpoint 10,45
    """
    from daco_training.city import CityExtras, CitySettings, Viewpoint, make_city

    settings = CitySettings(places=places, size=size, seed=seed, domains=tuple(words(domains)), val_places=val_places)
    viewpoints = tuple(Viewpoint.parse(text) for text in viewpoint or ())
    extras = CityExtras(viewpoints, tuple(words(viewpoint_split)), depth, drive)
    report = make_city(data_root / "demo", settings, extras, workers)
    typer.echo(
        f"{report.images_rendered} photographs rendered in {report.seconds:.0f} s "
        f"({report.seconds_per_image:.2f} s per image), {report.images_present} already existed; "
        f"{report.train_places} places for training, {report.val_places} for validation."
    )


@app.command()
def translate(
    name: Name,
    data_root: DataRoot = Path("data"),
    method: Annotated[
        str, option("method", "Translator: fourier, reinhard, fog, night, snow, or cut, which is trained first.")
    ] = "fourier",
    split: Annotated[str, option("split", "Photographs that get twins: train, val, or all. Training needs train.")] = (
        "train"
    ),
    seed: Annotated[int, option("seed", "Random seed; the same seed gives the same twins.", min=0)] = 0,
    overwrite: Annotated[bool, option("overwrite", "Make all twins again, including those of another method.")] = False,
    compare: Annotated[bool, option("compare", "Only draw 8 photographs with each translator, side by side.")] = False,
    out: Annotated[Path | None, option("out", "With --compare: file of the picture.")] = None,
    iters: Annotated[int, option("iters", "With cut: training steps per direction.", min=1)] = 20000,
    image_size: Annotated[
        int, option("image_size", "With cut: size of the training crops, in pixels.", min=64, max=256)
    ] = 128,
    width: Annotated[int, option("width", "With cut: channels of the first layers; 64 in the paper.", min=4)] = 32,
    device: Annotated[str, option("device", "With cut: device to train on: auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Make generated twins: each photograph as if taken in the other domain, in DATA_ROOT/NAME/generated.

    fourier, reinhard: transfer the colours of a photograph of the other domain.

    fog, night: simulate the condition, or remove it from a domain with its name; one domain is enough. If domains.json
    gives no names, a much darker domain is taken to be night.

    snow: simulate snow on photographs of a clear day; one domain is enough.

    cut: a network trained on the photographs of both domains; takes hours on a CPU.

    Ctrl-C stops it; the same command without --overwrite resumes.
    """
    dataset = DataSet(data_root, name)
    if compare:
        from daco_training.translation.compare import compare_translators

        if out is not None:
            check_output("--out", out, PICTURES, in_new_folder=True)
        comparison = compare_translators(dataset, out, seed)
        for left_out, reason in comparison.left_out.items():
            typer.echo(f"without {left_out}: {reason}")
        typer.echo(f"Side by side: {comparison.sheet}")
        return
    from daco_training.translation.generate import generate_twins, refuse_other_twins

    if method == "cut":
        from daco_training.translation.cut.train import CutSettings, is_trained, train_cut

        cut = CutSettings(iters, image_size, width, seed=seed)
        if not overwrite:
            refuse_other_twins(dataset, method, learns=not is_trained(dataset, cut))
        train_cut(dataset, cut, device)
    elif not overwrite:
        refuse_other_twins(dataset, method)
    report = generate_twins(dataset, method, seed, split, overwrite)
    typer.echo(f"{report.made} twins made, {report.kept} already existed: {dataset.folder / 'generated'}")
    typer.echo(f"Contact sheet: {report.sheet}")


@app.command()
def adopt(
    name: Annotated[str, typer.Argument(help="Name of the new data set.")],
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of photographs, one for each domain, such as day/ night/.")
    ],
    domains: Annotated[str, option("domains", "Names of the domains, in the order of the folders.")] = "day,night",
    val: Annotated[
        float, option("val", "Share of the photographs for validation, from the end of the sorted names.")
    ] = 0.2,
    data_root: DataRoot = Path("data"),
    link: prepare_cli.Link = False,
    size: prepare_cli.Size = None,
) -> None:
    """Make a data set from your own folders, one for each domain, with their positions; pairs are optional.

    Pairs have the same file name in each folder, or names such as day_01.jpg and night_01.jpg. Positions are read
    from CSV or GeoJSON files, @UTM@ file names, or EXIF.
    """
    from daco_training.datasets.prepare.folders import plan_folders
    from daco_training.datasets.prepare.report import carry_out

    names = [word.strip() for word in domains.split(",")][: len(folders)]
    typer.echo(carry_out(plan_folders(folders, names, val), data_root / name, link, size, partial=False))


@app.command()
@with_option_groups
def frames(
    recording: Annotated[Path, typer.Argument(help="A video; or a ROS bag or MCAP file of a robot.")],
    out: Annotated[Path, option("out", "Folder for the photographs; an empty or new one.")],
    *,
    sampling: RecordingArguments,
    as_json: AsJson = False,
) -> None:
    """Extract frames of a recording as photographs, with their positions in locations.csv if they are known.

    Blurred frames are left out. Ctrl-C stops it; the same command resumes. daco-index build takes recordings, too.

    Example: daco-data frames ride.mp4 --track ride.gpx --every 5m --out photographs/ride
    """
    from daco_core.recordings.recording import extract_recording

    extraction = extract_recording(recording, out, sampling.parse())
    typer.echo(json.dumps(asdict(extraction), indent=2, default=str) if as_json else extraction)


@app.command()
def check(name: Name, data_root: DataRoot = Path("data"), as_json: AsJson = False) -> None:
    """Check for faults: unpaired names, broken files, duplicates, missing positions and twins. Exit code 1 if any."""
    from daco_training.datasets.check import check as check_dataset

    report = check_dataset(DataSet(data_root, name))
    typer.echo(json.dumps(asdict(report), indent=2) if as_json else report)
    if report.problems:
        raise typer.Exit(1)


@app.command()
def stats(name: Name, data_root: DataRoot = Path("data"), as_json: AsJson = False) -> None:
    """Print mean and standard deviation of the training photographs, and the normalisation that training uses."""
    from daco_training.datasets.statistics import PUBLISHED, measure, normaliser

    dataset = DataSet(data_root, name)
    images = dataset.training_images()
    measured = measure(images)
    taken = normaliser(dataset) if name in PUBLISHED else measured
    if as_json:
        forms = {"measured": measured, "normaliser": taken}
        values = {form: dict(zip(("mean", "std"), pair, strict=True)) for form, pair in forms.items()}
        typer.echo(json.dumps({"photographs": len(images), "published": name in PUBLISHED} | values, indent=2))
        return
    typer.echo(f"{len(images)} training photographs, red green blue of 0..1")
    typer.echo(f"  measured    mean {_channels(measured[0])}  std {_channels(measured[1])}")
    typer.echo(f"  used        mean {_channels(taken[0])}  std {_channels(taken[1])}{_origin(name in PUBLISHED)}")


@app.command()
def show(
    name: Name,
    data_root: DataRoot = Path("data"),
    out: Annotated[Path, option("out", "File of the contact sheet: .jpg or .png.")] = Path("sheet.jpg"),
    split: Annotated[str, option("split", "train or val.")] = "train",
    count: Annotated[int, option("count", "Number of places, evenly spread over the split.", min=1)] = 8,
) -> None:
    """Draw a contact sheet of pairs and their twins."""
    from daco_training.datasets.show import save_sheet

    check_output("--out", out, PICTURES, in_new_folder=True)
    save_sheet(DataSet(data_root, name), out, split, count)
    typer.echo(f"{out}")


def _channels(values: tuple[float, float, float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def _origin(published: bool) -> str:
    return "  (published for this name)" if published else "  (measured)"


def main() -> None:
    run(app)
