"""Where the real data lies on this machine: the folder in MINIDL_DATA, or shared/data beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

_CANDIDATES = [Path(os.environ["MINIDL_DATA"])] if os.environ.get("MINIDL_DATA") else []
_CANDIDATES.append(Path(__file__).resolve().parents[2].parent / "shared" / "data")

DATA_DIR = next((str(p) for p in _CANDIDATES if all((p / f"{n}.npz").is_file() for n in ("cifar10", "mnist"))), None)
