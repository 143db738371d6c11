"""What the pages say is so: code runs, links lead somewhere, commands, settings and messages exist."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from anr_core.avatars import SYSTEMS, configure
from anr_core.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUNS = "# runs\n"


def name_of(page):
    return str(page.relative_to(ROOT))


def python_blocks():
    return [(page, place, code) for page in PAGES
            for place, (language, code) in enumerate(FENCED.findall(page.read_text(encoding="utf-8")))
            if language == "python" and code.startswith(RUNS)]


@pytest.mark.parametrize("page, place, code", python_blocks(),
                         ids=lambda value: value.stem if isinstance(value, Path) else "")
def test_code_that_is_marked_to_run_runs(page, place, code):
    lines = code.splitlines()
    assert max(map(len, lines)) <= 130
    assert any(line.startswith("assert") for line in lines)  # it checks what it shows
    exec(compile(code, f"{name_of(page)}, block {place}", "exec"), {})


# links

def anchors(page):
    """What a page's headings are called in links to them, as GitHub calls them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_within_the_project_lead_somewhere(page):
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or anchor and anchor not in anchors(target):
            wrong.append(link)
    assert not wrong


def test_every_page_is_in_the_index_and_every_system_has_one():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert not [page.name for page in PAGES[1:] if page.name != "README.md" and f"({page.name})" not in index]
    assert not [system for system in SYSTEMS if f"`{system}`" not in index]


def test_the_readme_keeps_its_order():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    parts = ("![", "**anr_core**", "colab-badge.svg", "make demo", "## Ten lines", "## Files", "## Results",
             "## Licences")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


# commands and settings

def commands():
    """(page, line, command, options) of every line of a page's blocks that calls the program."""
    for page in PAGES:
        for _, block in FENCED.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip().startswith("python -m anr_core "):
                    told = line.split("  #")[0]
                    yield page, line, told.split()[3], re.findall(r"--([a-z][\w-]*)", told)


def options_of(command):
    return {field.name.strip("_").replace("_", "-") for field in fields(COMMANDS[command])}


def test_commands_and_their_options_exist():
    found = list(commands())
    assert len(found) > 50
    wrong = [f"{name_of(page)}: {line.strip()}" for page, line, command, options in found
             if command not in COMMANDS
             or {option.replace("_", "-") for option in options} - options_of(command)]
    assert not wrong


@pytest.mark.parametrize("system", ["anr", "smplpix", "gaussian", "neural-body", "dynamic-texture"])
def test_settings_that_a_page_names_exist(system):
    text = (ROOT / "docs" / f"{system}.md").read_text(encoding="utf-8")
    section = text.split("## Settings that matter")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 5
    assert not named - {field.name for field in fields(configure(system=system))}


# messages

def said():
    """Every text of the package, with … for what differs."""
    for file in sorted((ROOT / "anr_core").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_messages_that_are_quoted_are_those_of_the_program():
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted, texts = re.findall(r"^> (.+)$", page, re.MULTILINE), list(said())
    assert len(quoted) > 30
    wrong = []
    for quote in quoted:
        parts = quote.split("…")
        pattern = re.compile(".*?".join(map(re.escape, parts)), re.DOTALL)
        near = [text for text in texts if all(part in text for part in parts)]
        if not any(pattern.search(text) for text in near):
            wrong.append(quote)
    assert not wrong


# docstrings

def definitions(body, prefix=""):
    """(name, node, class that it is in) of all that is public in a module or class."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node.body, f"{node.name}.")


def is_setter(node):
    return any(isinstance(mark, ast.Attribute) and mark.attr == "setter"
               for mark in getattr(node, "decorator_list", ()))


def test_every_public_name_has_a_docstring_or_that_of_what_it_overrides():
    told, bases, lacking = set(), {}, []
    trees = {file: ast.parse(file.read_text(encoding="utf-8"))
             for file in sorted((ROOT / "anr_core").rglob("*.py"))}
    for tree in trees.values():
        for name, node in definitions(tree.body):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
            if ast.get_docstring(node):
                told.add(name)

    def inherited(name):
        owner, _, method = name.rpartition(".")
        above = (f"{base}.{method}" for base in bases.get(owner, ()))
        return any(one in told or inherited(one) for one in above)

    for file, tree in trees.items():
        if not ast.get_docstring(tree):
            lacking.append(str(file.relative_to(ROOT)))
        lacking += [f"{file.relative_to(ROOT)}: {name}" for name, node in definitions(tree.body)
                    if not ast.get_docstring(node) and not is_setter(node) and not inherited(name)]
    assert not lacking, "\n".join(lacking)
