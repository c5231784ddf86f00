"""No module that a request can reach is imported late: behind the second wall it could not be found.

The sources of what is loaded are read for imports inside of functions; whatever they name must be loaded by then,
or stand below with the reason why no request gets there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.llama import LlamaFault
from engine.serving_imports import ANY, PREPARER, import_for_preparer, import_for_worker

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = {
    "worker": ("msgspec", "engine", "policies", "select", "socket"),
    "preparer": ("jinja2", "markupsafe", "msgspec", "engine", "policies", "selectors", "llama_cpp.llama_grammar"),
}
"""Whose sources are read. numpy is not: its lazy imports are in functions that are not called (tests/e2e shows it)."""
UNREACHED = {
    "asyncio": "jinja2: asynchronous rendering, which is off",
    "gettext": "jinja2: translations, an extension that is not loaded",
    "jinja2.loaders": "jinja2: files, which the sandbox has none of",
    "zipfile": "jinja2: compiled templates as files",
    "zlib": "jinja2: compiled templates as files",
    "typing_extensions": "for type checkers only",
    "logging": "jinja2: undefined values that log, which are not used",
    "pickle": "jinja2: compiled templates as files",
    "importlib.metadata": "markupsafe: its own version",
    "pyseccomp": "the walls themselves, before",
    "yaml": "msgspec: YAML, which is not used",
    "tomli": "msgspec: TOML, which is not used",
    "tomli_w": "msgspec: TOML, which is not used",
    "tomllib": "msgspec: TOML, which is not used",
    "attrs": "msgspec: classes that are not used",
    "numpy.typing": "for type checkers only",
    "requests": "llama_cpp.llama_grammar: schemas by URL, which are refused (engine.preparing.grammar)",
}
SCRIPT = """
import ast, importlib, importlib.util, json, sys
from pathlib import Path
role, packages = sys.argv[1], json.loads(sys.argv[2])
if role == "worker":
    import engine.worker, engine.batching.batching, engine.batching.embedding, engine.batching.llama_backend
    import engine.batching.llama_eyes, engine.batching.worker_service
    from engine.serving_imports import import_for_worker as import_all
else:
    import engine.preparer, engine.preparing.preparer_service, engine.preparing.prompt, engine.preparing.template
    import engine.preparing.special_text, engine.store.model_details, engine.llama
    from engine.preparing.image_decoder import warm_up
    warm_up()
    from engine.serving_imports import import_for_preparer as import_all
import_all()
loaded, late = set(sys.modules), {}
def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
for name, module in sorted(sys.modules.items()):
    file = getattr(module, "__file__", None)
    if not any(name == each or name.startswith(each + ".") for each in packages) or not str(file).endswith(".py"):
        continue
    package = getattr(module, "__package__", "") or ""
    for function in functions(ast.parse(Path(file).read_text())):
        for node in ast.walk(function):
            found = []
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [importlib.util.resolve_name("." * node.level + (node.module or ""), package)]
            for each in found:
                if each not in loaded:
                    late.setdefault(each, f"{name}.{function.name}")
print(json.dumps(late))
"""


def test_what_is_named_is_there_to_be_imported() -> None:
    assert LlamaFault  # engine.llama is there first: it keeps a cache out that llama_cpp would import
    import_for_worker()
    import_for_preparer()
    assert {*ANY, *PREPARER} <= set(sys.modules)


@pytest.mark.parametrize("role", ["worker", "preparer"])
def test_what_is_imported_inside_of_functions_is_loaded_before(role: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, role, json.dumps(PACKAGES[role])],
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    late = {name: where for name, where in json.loads(done.stdout).items() if name not in UNREACHED}
    assert late == {}
