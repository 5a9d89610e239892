"""Extracts commands from README.md and docs/: code blocks, and commands within sentences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# why a block is not run by the tests, as the comment before it says: <!-- needs: docker, network -->
NEEDS = {
    "gpu": "a CUDA GPU",
    "data": "a data set under a licence, or one of your own",
    "docker": "a Docker daemon",
    "network": "packages or another server, from elsewhere",
    "milvus": "a Milvus server; run where the tests can have one",
    "time": "longer than a test can wait",
}
FENCE = re.compile(r"(?P<before>[^\n]*)\n```(?P<language>\w*)\n(?P<text>.*?)\n?```", re.DOTALL)
MARK = re.compile(r"<!-- (?P<kind>needs|tried by): (?P<what>[^>]+?) -->")
INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
PROGRAMS = re.compile(r"(daco-(train|data|index|serve|bench)|make|pip|curl|docker|python|pytest)(\s|$)")
SUBCOMMANDS = re.compile(r"`(daco-\w+) [\w-]+`((?:, `[a-z-]+`)+)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: path below the project.
        line: of its first line of text.
        needs: why it is not run, words of NEEDS; empty if it is.
        tried_by: the test file that runs it by itself.
    """

    page: str
    line: int
    language: str
    text: str
    needs: frozenset[str] = frozenset()
    tried_by: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Inline:
    """A command within a sentence or a table; it may be cut short (`daco-serve run --workers N`)."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def pages() -> list[str]:
    """Every page for readers, below the project."""
    found = [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        ROOT / "core/daco_core/encoder/shipped/README.md",
    ]
    return [path.relative_to(ROOT).as_posix() for path in found]


def blocks(language: str) -> list[Block]:
    """All fenced blocks of a language, page by page."""
    return [
        block
        for page in pages()
        for block in read_blocks(page, (ROOT / page).read_text())
        if block.language == language
    ]


def read_blocks(page: str, text: str) -> Iterator[Block]:
    for fence in FENCE.finditer(text):
        mark = MARK.fullmatch(fence["before"].strip())
        words = frozenset(word.strip() for word in mark["what"].split(",")) if mark else frozenset()
        yield Block(
            page,
            text.count("\n", 0, fence.start("text")) + 1,
            fence["language"],
            fence["text"],
            words if mark and mark["kind"] == "needs" else frozenset(),
            mark["what"] if mark and mark["kind"] == "tried by" else None,
        )


def block_tried_by(file: str) -> Block:
    """The block that leaves its trial to a test file."""
    (found,) = [block for block in blocks("sh") if block.tried_by == file]
    return found


def inline_commands() -> list[Inline]:
    """Every inline command of every page; of `daco-index add`, `update`, `remove` all three."""
    found = []
    for page in pages():
        text = FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), (ROOT / page).read_text())
        for code in INLINE.finditer(text):
            if PROGRAMS.match(code[1]):
                found.append(Inline(page, text.count("\n", 0, code.start()) + 1, " ".join(code[1].split())))
        for several in SUBCOMMANDS.finditer(text):
            line = text.count("\n", 0, several.start()) + 1
            found += [Inline(page, line, f"{several[1]} {name}") for name in re.findall(r"`([a-z-]+)`", several[2])]
    return found
