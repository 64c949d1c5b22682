"""What the benches share: header lines, alternating timing, and a table."""

import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import subquad

ROOT = Path(__file__).resolve().parents[1]


def print_header(seed: int) -> None:
    """The lines that say what was measured and on what."""
    info = subquad.info()
    print(f"subquad {info['version']}, commit {_output('git', '-C', str(ROOT), 'describe', '--always', '--dirty')}")
    print(f"processor: {_processor()}; SIMD target {info['simd_target']}; {info['threads']} threads at most")
    print(f"compiler: {_output('c++', '--version').splitlines()[0]}, release build; Python {platform.python_version()}")
    print(f"seed {seed}")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    names = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return names[0] if names else platform.processor()


def alternate(
    contenders: dict[str, Callable[[], object]],
    seconds: float,
    least: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds per call of each contender, one after the other in turn, after one warm-up each.

    clock: what seconds are. time.thread_time counts the calling thread alone, and so less of what neighbours on a shared machine do.
    """
    for call in contenders.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < least:
        for name, call in contenders.items():
            start = clock()
            call()
            times[name].append(clock() - start)
    return times


def spread(times: list[float]) -> tuple[float, float]:
    """Median and interquartile range."""
    low, _, high = statistics.quantiles(times, n=4)
    return statistics.median(times), high - low


def print_table(rows: list[dict[str, str]]) -> None:
    """Rows of one set of keys as an aligned Markdown table."""
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    print("| " + " | ".join(name.ljust(widths[name]) for name in names) + " |")
    print("|" + "|".join("-" * (widths[name] + 2) for name in names) + "|")
    for row in rows:
        print("| " + " | ".join(row[name].ljust(widths[name]) for name in names) + " |")
