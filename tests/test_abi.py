"""The declarations of compiled libraries are those that cffi makes of them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_written_declarations_are_current(tmp_path):
    made = tmp_path / "abi.py"
    subprocess.run([sys.executable, ROOT / "tools" / "abi.py", made], check=True, capture_output=True)
    assert made.read_text() == (ROOT / "tracejit" / "kernels" / "c" / "abi.py").read_text()
