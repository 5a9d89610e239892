"""Every command line in README.md and docs/ is checked, and run as written if possible.

A block is run unless the comment before it says why not, in the words of `NEEDS`, or which test runs it by itself.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .checks import PROJECT, Wrong, check, ours, split_commands
from .conftest import Shell
from .pages import NEEDS, ROOT, Block, Inline, blocks, inline_commands, pages, read_blocks
from .script import ELSEWHERE, MILVUS, SERVER, SMALLER, runs, script_of

OUTSIDE = {"pip", "docker", "make", "git", "apt-get", "sudo"}
SHELL = blocks("sh")
ALL = [*SHELL, *blocks("python")]
RUN = [block for block in ALL if runs(block)]


def complaints(block: Block) -> Iterator[str]:
    """What a block must not say or do."""
    if unknown := block.needs - set(NEEDS):
        yield f"{block}: no test knows what {', '.join(unknown)} is"
    if block.tried_by and f'"{block.tried_by}"' not in (ROOT / block.tried_by).read_text():
        yield f"{block}: {block.tried_by} does not run it"
    if block.language == "sh" and not block.needs and not block.tried_by:
        for words in split_commands(block.text):
            if words[0] in OUTSIDE:
                yield f"{block}: {words[0]} reaches out of the tests, so the block must say what it needs"


@pytest.mark.parametrize("block", ALL, ids=str)
def test_every_block_is_run_or_says_why_it_is_not(block: Block) -> None:
    assert not list(complaints(block))


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_the_commands_of_a_block_exist(block: Block) -> None:
    commands = list(split_commands(block.text))
    assert commands
    for words in commands:
        check(words)


@pytest.mark.parametrize("command", inline_commands(), ids=str)
def test_a_command_in_a_sentence_exists(command: Inline) -> None:
    for words in split_commands(command.text):
        check(words, whole=False)


@pytest.mark.parametrize("page", sorted({block.page for block in RUN}))
def test_the_commands_of_a_page_run(
    page: str, workshop: Path, shell: Shell, port: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shown = [block for block in RUN if block.page == page]
    needs_milvus = any("milvus" in block.needs for block in shown)
    milvus = f"127.0.0.1:{request.getfixturevalue('milvus').port}" if needs_milvus else ""
    folder = Path(shutil.copytree(workshop, tmp_path / "workshop"))
    done = shell(script_of(shown, port, milvus), folder)
    assert done.returncode == 0, f"{page}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def test_every_text_that_is_replaced_for_a_test_run_is_on_its_page() -> None:
    text = "\n".join(block.text for block in RUN)
    for written in (*SMALLER, *ELSEWHERE, *SERVER, MILVUS):
        assert written in text
    for file in ELSEWHERE.values():
        assert (ROOT / file).is_file()


def test_every_environment_variable_on_the_pages_is_read_by_the_program() -> None:
    from daco_serve.operation.settings import ServeSettings

    source = "\n".join(path.read_text() for path in ROOT.glob("*/**/*.py") if ".venv" not in path.parts)
    known = {f"DACO_{name.upper()}" for name in ServeSettings.model_fields}
    for page in pages():
        for name in re.findall(r"\bDACO_[A-Z_]*[A-Z]\b", (ROOT / page).read_text()):
            assert name in known or f'"{name}"' in source, f"{page}: nothing reads {name}"


def test_every_example_in_a_help_text_is_a_valid_command() -> None:
    def examples(command: object) -> Iterator[str]:
        yield from re.findall(r"Example: (.+)", getattr(command, "help", None) or "")
        for below in getattr(command, "commands", {}).values():
            yield from examples(below)

    found = [example for name in PROJECT["scripts"] for example in examples(ours(name))]
    assert len(found) > 10
    for example in found:
        for words in split_commands(example):
            check(words)


@pytest.mark.parametrize(
    "line",
    [
        "daco-index build photographs/ --ou maps/mine",
        "daco-index biuld photographs/ --out maps/mine",
        "daco-index build --out maps/mine",
        "daco-index build photographs/ more/ --out maps/mine",
        "daco-index search night.jpg --index maps/mine -k many",
        "daco-train --receipe modern",
        "daco-train improt model.pth --out result/x",
        "daco-bench",
        "docker exec maps daco-serve key ad robot-3",
        "docker run -e DACO_OPNE=1 daco-serve",
        "make dmeo",
        "pip install 'daco-serve[milvsu]'",
        "curl http://127.0.0.1:8000/v1/qeury",
        "curl http://127.0.0.1:8000/v1/query",
        "python docs/images/tkae.py INDEX FOLDER",
        "pytest tests/index/test_ray.py --solw",
        "pytest tests/index/test_ray.py -k nothing_like_it",
        "docker build . && tsar xf it",
    ],
)
def test_a_mistake_in_a_command_is_detected(line: str) -> None:
    with pytest.raises(Wrong):
        for words in split_commands(line):
            check(words)


@pytest.mark.parametrize(
    "line",
    [
        "daco-index biuld",
        "daco-serve run --wrokers N",
        "make dmeo",
        "daco-data prepare paris",
    ],
)
def test_a_mistake_in_a_sentence_is_detected(line: str) -> None:
    with pytest.raises(Wrong):
        for words in split_commands(line):
            check(words, whole=False)


@pytest.mark.parametrize("mark", ["", "<!-- needs: luck -->", "<!-- tried by: tests/test_project.py -->"])
def test_a_block_with_an_invalid_mark_is_detected(mark: str) -> None:
    (block,) = read_blocks("page.md", f"Text.\n\n{mark}\n```sh\nmake demo\n```\n")
    assert list(complaints(block))


def test_a_command_that_fails_fails_its_page(shell: Shell, workshop: Path, tmp_path: Path) -> None:
    shutil.copytree(workshop / "maps" / "day", tmp_path / "maps" / "day")
    assert shell("daco-index info maps/day", tmp_path).returncode == 0
    done = shell("daco-index info maps/none\ndaco-index info maps/day", tmp_path)
    assert done.returncode == 1
    assert "maps/none is not a folder" in done.stderr


def test_links_between_pages_have_targets() -> None:
    for page in pages():
        for target, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", (ROOT / page).read_text()):
            if re.match(r"\w+:", target):
                continue
            file = (ROOT / page).parent / target if target else ROOT / page
            assert file.exists(), f"{page}: there is no {target}"
            if heading:
                assert heading in headings(file), f"{page}: {target} has no heading #{heading}"


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}
