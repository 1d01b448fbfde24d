"""The tritonserver that the nvidia-pytriton wheel carries, made ready to run without changing site-packages.

The wheel is installed for its binaries alone (`--no-deps`; nothing of its Python code is imported). Its python backend
needs three things done: the stub of this Python's version beside the backend, permission to execute, which installers
may drop, and the shared libpython that the stub is linked with. The first two are done in a folder of ours.
"""

import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from serving.errors import ServingError

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
STUB = "triton_python_backend_stub"


@dataclass(frozen=True)
class TritonInstall:
    """What it takes to start the server."""

    binary: Path
    backends: Path
    environment: dict[str, str]


def prepare(folder: Path) -> TritonInstall:
    """Put the python backend with its stub into `folder`; doing it again changes nothing.

    Raises:
        ServingError: the wheel, its stub for this Python or libpython is missing.
    """
    root = _wheel_root()
    binary = root / "bin" / "tritonserver"
    backend = root / "backends" / "python"
    stub = root / "python_backend_stubs" / PYTHON / STUB
    for file in (binary, backend / "libtriton_python.so", stub):
        if not file.is_file():
            raise ServingError(
                f"{file} is missing from the nvidia-pytriton wheel, so Triton can't run here. The wheel is for "
                "x86-64 Linux and Python 3.8 to 3.13; install it again with "
                "`pip install --no-deps --force-reinstall nvidia-pytriton==0.7.0`."
            )
    python = folder / "backends" / "python"
    python.mkdir(parents=True, exist_ok=True)
    for source in (*(p for p in backend.iterdir() if p.is_file()), stub):
        _place(source, python / source.name)
    if not os.access(binary, os.X_OK):
        binary = _place(binary, folder / "bin" / "tritonserver")
    return TritonInstall(binary, folder / "backends", _environment(root))


def _wheel_root() -> Path:
    try:
        root = Path(str(distribution("nvidia-pytriton").locate_file("pytriton/tritonserver")))
    except PackageNotFoundError:
        raise ServingError(
            "tritonserver is not installed: it comes in the wheel nvidia-pytriton. "
            "Run `make setup`, or `pip install --no-deps nvidia-pytriton==0.7.0`."
        ) from None
    return root


def _place(source: Path, target: Path) -> Path:
    """Copy a file, executable, by one rename, unless the copy is there already."""
    if not (target.is_file() and target.stat().st_size == source.stat().st_size and os.access(target, os.X_OK)):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        shutil.copyfile(source, partial)
        partial.chmod(0o755)
        partial.replace(target)
    return target


def libpython() -> Path:
    """The shared library of this very Python version.

    Raises:
        ServingError: it is in none of the usual places.
    """
    name = f"libpython{PYTHON}.so.1.0"
    places = [
        sysconfig.get_config_var("LIBDIR"),
        f"{sys.base_prefix}/lib",
        f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}",
    ]
    for place in filter(None, places):
        if (library := Path(place) / name).is_file():
            return library
    raise ServingError(
        f"{name} was not found in {', '.join(dict.fromkeys(filter(None, places)))}; Triton's python backend is linked "
        f"with it. Install the package libpython{PYTHON} (Debian, Ubuntu: `apt-get install libpython{PYTHON}`)."
    )


def _environment(root: Path) -> dict[str, str]:
    libraries = [str(libpython().parent), str(root.parent.parent / "nvidia_pytriton.libs")]
    if inherited := os.environ.get("LD_LIBRARY_PATH"):
        libraries.append(inherited)
    dropped = {"PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP"}  # the stub shall see this environment's packages alone
    return {name: value for name, value in os.environ.items() if name not in dropped} | {
        # The stub finds its site-packages through the first python3 on PATH.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "/usr/bin:/bin")]),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "OMP_NUM_THREADS": "1",
    }
