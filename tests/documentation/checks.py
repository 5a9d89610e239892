"""Checks that a command line exists: programs, subcommands, options, values, targets and addresses."""

import argparse
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import typer.main

from .pages import ROOT

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
OPERATORS = {";", "&", "&&", "|", "||", "(", ")"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKER = {"build", "run", "logs", "exec"}
METHOD = {True: "post", False: "get"}


class Wrong(AssertionError):
    """A command line that would not work."""


def split_commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a shell script, each as its words, without assignments before it and redirections.

    >>> list(split_commands("A=1 make demo  # first\\ncurl 'x y' | grep z"))
    [['make', 'demo'], ['curl', 'x y'], ['grep', 'z']]
    """
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command: list[str] = []
        redirected = False
        for word in [*words, ";"]:
            if word in OPERATORS:
                if command:
                    yield command
                command = []
            elif redirected or set(word) <= set("<>&"):
                redirected = not redirected
                if command and command[-1] == "2":
                    command.pop()
            elif command or (not ASSIGNMENT.fullmatch(word) and word != "$"):
                command.append(word)


def check(words: list[str], whole: bool = True) -> None:
    """Raises Wrong where a command line would be refused.

    Args:
        whole: that it is complete; else what is missing is not minded, only what is there.
    """
    program, *arguments = words
    if program in PROJECT["scripts"]:
        check_ours(program, arguments, whole)
    elif program in CHECKS:
        CHECKS[program](arguments)
    elif whole:
        raise Wrong(f"{program}: no rule says how to check it")


@cache
def ours(program: str) -> Any:
    """The command of ours, as Typer has it."""
    module = PROJECT["scripts"][program].partition(":")[0]
    return typer.main.get_command(import_module(module).app)


def check_ours(program: str, arguments: list[str], whole: bool) -> None:
    command, name = ours(program), program
    while arguments and (below := getattr(command, "commands", {}).get(arguments[0])):
        command, name, arguments = below, f"{name} {arguments[0]}", arguments[1:]
    group = hasattr(command, "commands")
    if whole and not {"--help", "--version"} & set(arguments):
        if group and not command.invoke_without_command:
            raise Wrong(f"{name}: no such command as {' '.join(arguments) or 'nothing'}")
        try:
            context = command.make_context(name, list(arguments))
        except Exception as error:
            raise Wrong(f"{name}: {error}") from error
        if group and context.args:
            raise Wrong(f"{name}: no such command as {context.args[0]}")
        return
    options = [parameter.opts + parameter.secondary_opts for parameter in command.params]
    known = {"--help", "--version"}.union(*options)
    for word in arguments:
        if word.startswith("-") and word.partition("=")[0] not in known:
            raise Wrong(f"{name}: no such option as {word}")
    if group and arguments and not arguments[0].startswith("-"):
        raise Wrong(f"{name}: no such command as {arguments[0]}")


def check_make(arguments: list[str]) -> None:
    if shutil.which("make") is None:
        return
    done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Wrong(f"make: {done.stderr}")


def check_pip(arguments: list[str]) -> None:
    """Packages are this one with extras that it has, or what it depends on."""
    if arguments[:1] != ["install"]:
        raise Wrong(f"pip {' '.join(arguments)}: only install is known here")
    extras = PROJECT["optional-dependencies"]
    depends = {re.split(r"[^\w-]", need)[0] for need in sum(extras.values(), PROJECT["dependencies"])}
    for word in arguments[1:]:
        package, _, inside = word.rstrip("]").partition("[")
        if package in (".", "daco-serve"):
            unknown = set(filter(None, inside.split(","))) - set(extras)
            if unknown:
                raise Wrong(f"pip: this project has no extra {', '.join(unknown)}")
        elif not word.startswith("-") and package not in depends and not package.endswith(".whl"):
            raise Wrong(f"pip: this project knows no package {package}")


@cache
def addresses() -> dict[str, set[str]]:
    """Path of the HTTP interface, as a pattern, to its methods."""
    from daco_serve.http.app import create_app
    from daco_serve.operation.settings import ServeSettings

    document = create_app(ServeSettings(index=("none",))).openapi()
    found = {re.sub(r"\{\w+\}", "[^/]+", path): set(methods) for path, methods in document["paths"].items()}
    return found | {"/": {"get"}, "/docs": {"get"}, "/openapi.json": {"get"}}


def check_curl(arguments: list[str]) -> None:
    """Each address is one of the server's, asked by a method that it takes."""
    sends = any(word in ("-F", "--data-binary", "-d") for word in arguments)
    for word in arguments:
        if not word.startswith("http"):
            continue
        path = re.sub(r"^https?://[^/]+", "", word).partition("?")[0]
        methods = [methods for pattern, methods in addresses().items() if re.fullmatch(pattern, path)]
        if not any(METHOD[sends] in of for of in methods):
            raise Wrong(f"curl: the server takes no {METHOD[sends].upper()} at {path}")


def check_docker(arguments: list[str]) -> None:
    """What `exec` runs in a container is checked; so are settings, and arguments of the build."""
    from daco_serve.operation.settings import ServeSettings

    if arguments and arguments[0] not in DOCKER:
        raise Wrong(f"docker: {arguments[0]} is not known here")
    dockerfile = (ROOT / "Dockerfile").read_text()
    for option, value in pairwise(arguments):
        name = value.partition("=")[0]
        if option == "-e" and name.removeprefix("DACO_").lower() not in ServeSettings.model_fields:
            raise Wrong(f"docker: the server has no setting {name}")
        if option == "--build-arg" and f"ARG {name}" not in dockerfile:
            raise Wrong(f"docker: the Dockerfile has no argument {name}")
    if arguments[:1] == ["exec"]:
        check(arguments[2:])


def check_python(arguments: list[str]) -> None:
    """A file of the project; `main.py` stands for the published code's; `-m venv` is Python's own."""
    if arguments[:1] in (["-m"], ["main.py"]):
        return
    script = ROOT / arguments[0]
    if not script.is_file():
        raise Wrong(f"python: there is no {arguments[0]}")
    for word in arguments[1:]:
        if word.startswith("-") and f'"{word}"' not in script.read_text():
            raise Wrong(f"python {arguments[0]}: no such option as {word}")


def check_pytest(arguments: list[str]) -> None:
    """Files of tests, markers and our own option; what -k picks is the name of a test there."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("files", nargs="*")
    parser.add_argument("-k")
    parser.add_argument("-m", choices=["gpu", "slow"])
    for option in ("-s", "--slow"):
        parser.add_argument(option, action="store_true")
    try:
        given = parser.parse_args(arguments)
    except (argparse.ArgumentError, SystemExit) as error:
        raise Wrong(f"pytest: {error}") from error
    for file in given.files:
        if not (ROOT / file).is_file():
            raise Wrong(f"pytest: there is no {file}")
    if given.k:
        tests = "\n".join((ROOT / file).read_text() for file in given.files)
        if not re.search(rf"def test_\w*{given.k}", tests):
            raise Wrong(f"pytest: no test there is named like {given.k}")


CHECKS = {
    "make": check_make,
    "pip": check_pip,
    "curl": check_curl,
    "docker": check_docker,
    "python": check_python,
    "pytest": check_pytest,
    "cd": lambda arguments: None,
    "export": lambda arguments: None,
    "grep": lambda arguments: None,
    "git": lambda arguments: None,
}
