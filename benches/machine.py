"""Describes the machine, and the versions of the tools."""

import os
import platform
import re
import subprocess
from pathlib import Path


def first_line(*command):
    """The first line that a command prints, or None if it is not installed."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return None
    return done.stdout.decode(errors="replace").strip().split("\n")[0].strip("* ")


def cpu():
    """The processor's name, family and model. The name alone is often generic on virtual machines."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", text, re.MULTILINE))
    name = found.get("model name", platform.machine())
    return f"{name}, family {found.get('cpu family', 'unknown')}, model {found.get('model', 'unknown')}"


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def machine(folder):
    """Properties of the machine that affect the figures, as pairs of name and value."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    kernel = f"{platform.system()} {platform.release()}"
    file_system = first_line("stat", "-f", "-c", "%T", str(folder)) or "unknown"
    return [
        ("processor", f"{cpu()}; {cores()} cores"),
        ("memory", f"{memory:.0f} GiB"),
        ("kernel", kernel),
        ("files on", file_system),
    ]


def versions(adseg, venv_python):
    """The versions of the tools, as pairs of name and version, without tools that are not installed."""
    python_packages = "import duckdb, polars; print(f'Polars {polars.__version__}, DuckDB {duckdb.__version__}')"
    found = [
        ("adseg", first_line(adseg, "--version")),
        ("compiler", first_line("rustc", "--version")),
        ("cat", first_line("cat", "--version")),
        ("mawk", first_line("mawk", "-W", "version")),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("data frames", first_line(venv_python, "-c", python_packages) if venv_python else None),
        ("gzip", first_line("gzip", "--version")),
        ("zstd", first_line("zstd", "--version")),
    ]
    return [(name, version) for name, version in found if version]
