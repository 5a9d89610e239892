"""Takes the pictures of the page that the documentation shows, in headless Chromium: `make screenshot`.

python docs/images/take.py INDEX FOLDER_OF_QUERIES [OUT]

The photographs shown are those of the folder whose answers the server is surest of. All must be of the rendered demo
city, so that nobody else's photographs come into the documentation. For the picture of the four verdicts, the script
makes two more indexes: one without the streets of the queries, and one without a calibration.
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageEnhance
from playwright.sync_api import Browser, Playwright, sync_playwright

from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_index.build import BuildOptions, build_index
from daco_index.generations.change import remove_photographs
from daco_index.search.bundle import Bundle
from daco_serve.client import Client
from daco_serve.http.schemas import QueryAnswer

SHOWN = 5
FOLLOWED = 6
FILM_FRAMES = 45  # of each photograph in the film, at 30 a second
MOST_BYTES = 300_000
PLAIN_ENCODER = "timm:tf_efficientnet_lite0"  # no calibration ships with it
VERDICTS = ("located", "probably", "closest", "absent")
# of the index itself, of the one without the streets, and of the one without a calibration
WANTED = ({"located", "probably"}, {"absent"}, {"closest"})
VIEWS = {
    "page": {"viewport": {"width": 1360, "height": 860}},
    "page-phone": {
        "viewport": {"width": 390, "height": 1150},
        "device_scale_factor": 1.5,
        "is_mobile": True,
        "has_touch": True,
        "color_scheme": "dark",
    },
}


def main(index: Path, queries: Path, out: Path) -> None:
    """Serves the indexes on a free port for as long as it takes."""
    photographs = sorted(queries.glob("*.jpg"))
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        others = [without_streets(index, photographs, Path(folder)), without_calibration(index, Path(folder))]
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with served(index) as address:
            for name, view in VIEWS.items():
                take(browser, address, surest(address, photographs), out / f"{name}.png", view)
            take_regions(browser, address, surest(address, photographs)[0], out / "regions.png")
            take_start(browser, address, out / "page-start.png")
            take_failure(browser, address, out / "page-failure.png")
            follow(driver, address, photographs, out / "following.png")
        with served(index, *others) as address:
            take_verdicts(browser, address, photographs, out / "verdicts.png", Path(folder))
        browser.close()


@contextmanager
def served(*indexes: Path) -> Iterator[str]:
    """The address of a server with these indexes."""
    given = [part for index in indexes for part in ("--index", str(index))]
    command = [str(Path(sys.executable).with_name("daco-serve")), "run", *given, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        if found is None:
            sys.exit("The server did not start.")
        yield found[0]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def without_streets(index: Path, photographs: list[Path], folder: Path) -> Path:
    """A copy of an index that has none of the streets of these photographs."""
    copy = Path(shutil.copytree(index, folder / "elsewhere"))
    streets = {photograph.stem.split("_")[0] for photograph in photographs}
    entries = Bundle.open(index).catalog.all()
    remove_photographs(copy, ids=[entry.id for entry in entries if entry.place.split("_")[0] in streets])
    return copy


def without_calibration(index: Path, folder: Path) -> Path:
    """An index of the same photographs by an encoder that says nothing of probabilities."""
    bundle = Bundle.open(index)
    (folder / "references").mkdir()
    places = {}
    for entry in bundle.catalog.all():
        shutil.copyfile(entry.path, folder / "references" / Path(entry.path).name)
        places[Path(entry.path).name] = PhotoLocation(entry.latitude, entry.longitude, entry.heading, entry.place)
    write_locations(folder / "references", places)
    build_index(str(folder / "references"), PLAIN_ENCODER, folder / "uncalibrated", BuildOptions(progress=False))
    return folder / "uncalibrated"


def take_verdicts(browser: Browser, address: str, photographs: list[Path], file: Path, folder: Path) -> None:
    """The card and the map of an answer of each verdict, side by side."""
    cards: dict[str, bytes] = {}
    context = browser.new_context(viewport={"width": 1180, "height": 700}, device_scale_factor=1.2)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#state:has-text('reference photographs')")
    names = page.eval_on_selector_all("#index option", "all => all.map(one => one.value)")
    for name, wanted in zip(names, WANTED, strict=True):
        page.select_option("#index", name)
        for photograph in (*photographs, *darkened(photographs, folder)):
            if wanted <= set(cards):
                break
            page.set_input_files("#file", str(photograph))
            page.wait_for_selector("#film [data-state=done]")
            verdict = page.get_attribute("#where", "data-verdict") or ""
            if verdict in wanted - set(cards):
                page.wait_for_timeout(800)  # the map's last animation
                cards[verdict] = page.locator("#where").screenshot()
            page.click("#over")
    context.close()
    missing = set(VERDICTS) - set(cards)
    if missing:
        sys.exit(f"No answer is {', '.join(sorted(missing))}: try other queries.")
    pictures = [Image.open(BytesIO(cards[verdict])) for verdict in VERDICTS]
    sheet = Image.new(
        "RGB", (sum(one.width + 12 for one in pictures) - 12, max(one.height for one in pictures)), "white"
    )
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + 12
    sheet.save(file)
    shrink(file)


def darkened(photographs: list[Path], folder: Path) -> Iterator[Path]:
    """The photographs with less and less light, until an answer is not certain any more."""
    for light in (0.5, 0.3, 0.2, 0.12):
        for photograph in photographs:
            with Image.open(photograph) as image:
                ImageEnhance.Brightness(image).enhance(light).save(folder / photograph.name, quality=60)
            yield folder / photograph.name


def take_regions(browser: Browser, address: str, photograph: Path, file: Path) -> None:
    """The comparison with the matched regions."""
    page = browser.new_page(viewport=VIEWS["page"]["viewport"])  # type: ignore[arg-type]
    page.goto(address)
    page.set_input_files("#file", str(photograph))
    page.wait_for_selector("#film [data-state=done]")
    page.check("#regions")
    page.wait_for_selector("#theirs .regions")
    page.locator("#compare").screenshot(path=file)
    page.close()
    shrink(file)


def take_start(browser: Browser, address: str, file: Path) -> None:
    """The page as it opens, with the samples of the demo."""
    page = browser.new_page(viewport=VIEWS["page"]["viewport"])  # type: ignore[arg-type]
    page.goto(address)
    page.wait_for_selector("#samples:not([hidden]) img")
    page.wait_for_timeout(800)
    page.screenshot(path=file)
    page.close()
    shrink(file)


def take_failure(browser: Browser, address: str, file: Path) -> None:
    """A file that is no photograph."""
    page = browser.new_page(viewport={"width": 1280, "height": 520})
    page.goto(address)
    page.wait_for_selector("#state:has-text('reference photographs')")
    page.set_input_files("#file", {"name": "notes.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 notes"})
    page.wait_for_selector("#failure:not([hidden])")
    page.wait_for_timeout(500)
    page.screenshot(path=file)
    page.close()
    shrink(file)


def surest(address: str, photographs: list[Path]) -> list[Path]:
    """The SHOWN photographs with the most probable locations; uncalibrated, those that stand out the most."""

    def certainty(answer: QueryAnswer) -> float:
        if answer.location is None:
            return -1.0
        if answer.location.probability is not None:
            return answer.location.probability
        return answer.matches[0].similarity - answer.matches[1].similarity

    with Client(address) as client:
        answers = {photograph: client.query(photograph) for photograph in photographs}
    return sorted(photographs, key=lambda photograph: -certainty(answers[photograph]))[:SHOWN]


def follow(driver: Playwright, address: str, photographs: list[Path], file: Path) -> None:
    """A picture of a camera that is followed past the first photographs; the browser's false camera shows them."""
    with TemporaryDirectory() as folder:
        film = Path(folder) / "film.mjpeg"
        film.write_bytes(b"".join(FILM_FRAMES * film_frame(photograph) for photograph in photographs[:FOLLOWED]))
        camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", *camera])
        page = browser.new_context(**VIEWS["page"], permissions=["camera"]).new_page()  # type: ignore[arg-type]
        page.goto(address)
        page.wait_for_selector("#state:has-text('reference photographs')")
        page.click("#follow")
        page.wait_for_function("count => document.querySelectorAll('.track-point').length >= count", arg=FOLLOWED + 2)
        page.screenshot(path=file)
        browser.close()
    shrink(file)


def film_frame(photograph: Path) -> bytes:
    """As a JPEG with sides that every decoder of films takes."""
    content = BytesIO()
    with Image.open(photograph) as image:
        image.convert("RGB").resize((640, 480)).save(content, "jpeg", quality=92)
    return content.getvalue()


def take(browser: Browser, address: str, photographs: list[Path], file: Path, view: dict[str, object]) -> None:
    """One picture of answers."""
    context = browser.new_context(**view)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#state:has-text('reference photographs')")
    page.set_input_files("#file", [str(photograph) for photograph in photographs])
    page.wait_for_selector(f"#film li:nth-child({len(photographs)}) [data-state=done]", timeout=120_000)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(800)  # the map's last animation
    page.screenshot(path=file)
    context.close()
    shrink(file)


def shrink(file: Path) -> None:
    """In few enough colours to be small."""
    with Image.open(file) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
    if file.stat().st_size > MOST_BYTES:
        sys.exit(f"{file} is larger than {MOST_BYTES} bytes.")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3] if len(sys.argv) == 4 else Path(__file__).parent))
