"""Takes the pictures of the page that the documentation shows, in headless Chromium: `make screenshot`.

python docs/images/take.py INDEX FOLDER_OF_QUERIES [OUT]

The photographs shown are those of the folder whose answers the server is surest of. All must be of the rendered demo
city, so that nobody else's photographs come into the documentation.
"""

import re
import shutil
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Playwright, sync_playwright

from daco_serve.client.client import Client
from daco_serve.http.schemas import QueryAnswer

SHOWN = 5
FOLLOWED = 6
FILM_FRAMES = 45  # of each photograph in the film, at 30 a second
MOST_BYTES = 300_000
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
    """Serves the index on a free port for as long as it takes."""
    command = ["daco-serve", "run", "--index", str(index), "--port", "0"]
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        if found is None:
            sys.exit("The server did not start.")
        photographs = surest(found[0], sorted(queries.glob("*.jpg")))
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for name, view in VIEWS.items():
                take(browser, found[0], photographs, out / f"{name}.png", view)
            browser.close()
            follow(driver, found[0], sorted(queries.glob("*.jpg")), out / "following.png")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


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
