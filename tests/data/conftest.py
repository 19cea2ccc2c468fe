"""The tests of the real data run where the data is; elsewhere they are not collected, rather than skipped."""

from __future__ import annotations

from data.real import DATA_DIR

collect_ignore = [] if DATA_DIR else ["test_real_data.py"]
