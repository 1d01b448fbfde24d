#!/usr/bin/env bash
# Make the virtual environment that every command uses: infra/setup.sh runtime|dev
#
# Needs python3.11; on Debian and Ubuntu two small system packages may be missing (ensurepip, and the shared libpython
# that Triton's Python backend loads): as root they are installed, otherwise the command to run is printed.
# The package index, certificates and caches are pip's own settings (PIP_INDEX_URL, PIP_CACHE_DIR, …).
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-runtime} python=${PYTHON:-python3.11} venv=${VENV:-.venv}

command -v "$python" >/dev/null || { echo "setup: $python is not on PATH; install Python 3.11 or set PYTHON=…" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "setup: $python is not Python 3.11; set PYTHON=…" >&2; exit 1; }

missing=()
"$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3.11-venv)
"$python" - <<'PY' || missing+=(libpython3.11)
import ctypes, os, sys, sysconfig
name = "libpython3.11.so.1.0"
places = [os.path.join(p, name) for p in (sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib")) if p]
try:
    any(os.path.exists(p) for p in places) or ctypes.CDLL(name)
except OSError:
    sys.exit(1)
PY
if ((${#missing[@]})); then
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "setup: system packages are missing; run: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
stamp=$venv/.$what-$(cat pyproject.toml requirements.lock requirements-dev.lock | sha256sum | cut -c1-16)
[[ -e $stamp ]] && exit 0

started=$SECONDS
if [[ ! -x $venv/bin/python ]]; then
    echo "setup: making $venv (about 3 GB; a few minutes the first time)"
    "$python" -m venv "$venv"
fi
# torch first and alone: asked for by another package, the index would answer with gigabytes of CUDA libraries.
pip install -q "${TORCH:-torch==2.13.0}"
pip install -q -r requirements.lock
# Only the tritonserver binary inside this wheel is used; its numpy<2 pin does not concern us.
pip install -q --no-deps nvidia-pytriton==0.7.0
[[ $what == dev ]] && pip install -q -r requirements-dev.lock
pip install -q --no-deps --no-build-isolation -e .
touch "$stamp"
echo "setup: $venv is ready ($((SECONDS - started)) s)"
