"""Where set-up puts things, all below the checkout and all ignored by git."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "lock"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CORRAL = VENV / "bin" / "corral"
LOG = VENV / "install.log"
CACHE = ROOT / ".corral-cache"
