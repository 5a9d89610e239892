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
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from daco_serve.client.client import Client
from daco_serve.http.schemas import QueryAnswer

SHOWN = 5
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


def take(browser: Browser, address: str, photographs: list[Path], file: Path, view: dict[str, object]) -> None:
    """One picture, in few enough colours to be small."""
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
    with Image.open(file) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
    if file.stat().st_size > MOST_BYTES:
        sys.exit(f"{file} is larger than {MOST_BYTES} bytes.")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3] if len(sys.argv) == 4 else Path(__file__).parent))
