"""Any module of the core can be the first that is imported: none of them import each other in a circle."""

import subprocess
import sys
from pathlib import Path

import daco_core

# other packages stay imported, so that the whole takes a second
SCRIPT = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    for known in [known for known in sys.modules if known.partition(".")[0] == "daco_core"]:
        del sys.modules[known]
    try:
        import_module(name)
    except ImportError as error:
        sys.exit(f"{name}: {error}")
"""


def test_every_module_can_be_imported_first() -> None:
    root = Path(daco_core.__file__).parents[1]
    files = (file.relative_to(root).with_suffix("") for file in sorted((root / "daco_core").rglob("*.py")))
    names = [".".join(file.parts).removesuffix(".__init__") for file in files]
    assert "daco_core.photographs.frames" in names
    done = subprocess.run([sys.executable, "-c", SCRIPT, *names], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
