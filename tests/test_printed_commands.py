"""Every command that the program or a document prints is one that the real command line takes."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from invoke import ParseError
from invoke.parser import Parser, ParserContext

from tasks import namespace, program

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = sorted((ROOT / "runbook").rglob("*.py"))
DOCUMENTS: Final = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
MARK_OF_A_SILENCE: Final = " (inv silence)"  # kept in Alertmanager: data, not a command
UNBUILT: Final = re.compile(r"\binv (?:--)?[a-z]")
OURS: Final = re.compile(r"(?:^|\s|`)(?:\./inv|inv|crm-runbook)((?: +[^`\n#;|&>]+)?)")


def taken(command: str) -> str:
    """Return what the command line says against a command; nothing if it takes it."""
    parser = Parser(initial=ParserContext(args=program.core_args()), contexts=namespace.to_contexts())
    try:
        _, *tasks = parser.parse_argv(shlex.split(command))
    except (ParseError, ValueError) as error:
        return str(error)
    own = {flag for task in tasks for flag in (*task.flags, *task.inverse_flags)}
    foreign = [word for word in shlex.split(command) if word.startswith("-") and word.partition("=")[0] not in own]
    return f"{foreign[0]} is no option of it" if tasks and foreign and not command.startswith("-") else ""


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every text that is no docstring and no argument of `inv`, with its line."""
    passed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            passed |= {id(first.value)} if isinstance(first, ast.Expr) else set()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(id(node.value))
        if is_inv(node):
            passed |= {id(part) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            yield node.lineno, node.value


def is_inv(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "inv"


def printed(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield what `inv` is called with, a value that is filled in at run time as X."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_inv(node):
            for text in texts(node.args[0]):
                yield node.lineno, text

        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for text in re.findall(r"\{inv:([^}]+)\}", node.value):
                yield node.lineno, text


def texts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body), *texts(node.orelse)]
    return []  # a variable: whoever filled it called with a command's own name


def test_a_command_is_printed_by_the_one_function_that_knows_program_and_target() -> None:
    """`inv rollback` written out under `--target staging` would act on `live`."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in SOURCES
        for line, text in literals(ast.parse(path.read_text("utf-8")))
        if UNBUILT.search(text) and text != MARK_OF_A_SILENCE
    ]
    assert found == []


def test_every_printed_command_is_taken() -> None:
    found, count = [], 0
    for path in SOURCES:
        for line, command in printed(ast.parse(path.read_text("utf-8"))):
            count += 1
            if not command.startswith("X") and (said := taken(command)):
                found.append(f"{path.relative_to(ROOT)}:{line}: inv {command}: {said}")
    assert found == []
    assert count > 40


def test_every_command_of_the_documents_is_taken() -> None:
    found, count = [], 0
    for path in DOCUMENTS:
        for code in code_of(path.read_text("utf-8")):
            for arguments in OURS.findall(code):
                count += 1
                if said := taken(with_argument(filled(arguments))):
                    found.append(f"{path.name}: {arguments}: {said}")
    assert found == []
    assert count > 40


def code_of(text: str) -> Iterator[str]:
    """Yield the lines of code blocks, and the spans between backticks."""
    blocks = re.findall(r"```(?:sh)?\n(.*?)```", text, flags=re.DOTALL)
    yield from (line for block in blocks for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def filled(arguments: str) -> str:
    """Return a command without comments, dots, and what follows `--`, which is another program's."""
    return re.sub(r"\s--\s.*|\s\.\.\.|`.*", "", f"{arguments} ").strip()


def with_argument(command: str) -> str:
    """Return a command that is only mentioned with the argument that it needs."""
    return f"{command} X" if command in {"dev.bench", "stack.break"} else command


@pytest.mark.parametrize(
    "command", ["unsilence --id X", "silence --list", "verfy", "rollback --target", "stack.break", "verify --rn X"]
)
def test_a_command_that_does_not_exist_is_caught(command: str) -> None:
    """The control: what fixes have printed before, and other mistakes."""
    assert taken(command)
