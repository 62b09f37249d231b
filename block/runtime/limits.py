"""Find how much memory and how many processors this process may use.

Containers limit them with control groups, which the usual functions don't see, and shells with `ulimit`. The files:
https://docs.kernel.org/admin-guide/cgroup-v2.html and, for version 1, https://docs.kernel.org/admin-guide/cgroup-v1.
"""

from __future__ import annotations

import math
import os
import resource
from pathlib import Path

THREADS = 4  # for reading recordings; each takes its share of free memory
CGROUP = Path("/sys/fs/cgroup")
# Memory limit, usage and statistics, in version 2 and in version 1.
MEMORY_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
# The limits of a process, by the name of what it uses in /proc/self/status.
PROCESS_LIMITS = {"VmSize:": resource.RLIMIT_AS, "VmData:": resource.RLIMIT_DATA}


def find_available_bytes(cgroup: Path = CGROUP) -> int:
    """Return how many bytes this process can still use: those of the machine, or fewer if it is limited to fewer."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    try:
        available = _read_numbers(Path("/proc/meminfo"))["MemAvailable:"] * 1024
        for limit, used, stat in MEMORY_FILES:
            if (cgroup / limit).is_file() and (cgroup / limit).read_text().strip().isdecimal():
                # The file cache counts as used, but is freed when needed.
                idle = _read_numbers(cgroup / stat).get("inactive_file", 0)
                left = int((cgroup / limit).read_text()) - int((cgroup / used).read_text()) + idle
                available = min(available, left)
        used_kib = _read_numbers(Path("/proc/self/status"))
        for name, kind in PROCESS_LIMITS.items():
            if (most := resource.getrlimit(kind)[0]) != resource.RLIM_INFINITY:
                available = min(available, most - used_kib[name] * 1024)
    except (OSError, ValueError, KeyError):
        pass  # not Linux, or no control groups: half of all memory is a safe guess
    return max(available, 0)


def count_processors(cgroup: Path = CGROUP) -> int | None:
    """Return how many processors a control group lets this process use, rounded up; None without a limit."""
    try:
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return math.ceil(int(quota) / int(period)) if int(quota) > 0 and int(period) > 0 else None
    except (OSError, ValueError):
        return None  # "max", or no control groups


def _read_numbers(path: Path) -> dict[str, int]:
    """Return the first number in each line of a kernel file, by the line's first word."""
    words = (line.split() for line in path.read_text().splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdecimal()}
