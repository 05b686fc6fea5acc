"""`toydiff explore`: the explorer's notebook or a lesson in JupyterLab."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from toydiff.base.checks import InputError, count

NOTEBOOK, SLIDERS = "explorer.ipynb", "sliders.ipynb"
LESSONS = (
    "1-noise-and-scores.ipynb",
    "2-training.ipynb",
    "3-classifier-free-guidance.ipynb",
    "4-truncation.ipynb",
    "5-autoguidance.ipynb",
    "6-measure.ipynb",
    "7-your-own-guidance.ipynb",
)
# Whatever a page wants: the browser is told to ask no server but this one.
ONLY_HERE = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: ws://127.0.0.1:{port}; frame-ancestors 'self'"


def notebook_folder() -> Path:
    """The folder of the bundled notebooks: beside the package in a checkout, in it when installed."""
    package = Path(__file__).parents[2]
    return next(folder for folder in (package / "notebooks", package.parent / "notebooks") if folder.is_dir())


def serve(*, lesson: int | None = None, port: int | None = None, browser: bool = True) -> int:
    """Run a Jupyter server on the loopback interface until it ends or Ctrl-C; its exit status.

    Args:
        lesson: the number of the lesson that is opened, from 1; by default the explorer.
        port: to listen on; by default a free one.
        browser: open the page.

    Raises:
        InputError: JupyterLab is not installed, there is no such lesson, the port is out of range or taken, or the
            notebooks cannot be put into the folder toydiff-notebooks.
    """
    opened = NOTEBOOK if lesson is None else LESSONS[count("lesson", lesson, 1, len(LESSONS)) - 1]
    require("jupyterlab", "anywidget")
    port = _usable_port(port)
    folder = _copied_notebooks()
    page = f"/doc/tree/{opened}"  # one document, without the panels beside it
    token = secrets.token_urlsafe(24)
    # The token goes by the environment: a command line can be read by every user of the machine.
    config = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])])
    environment = os.environ | {
        "JUPYTER_WIDGETS_ECHO": "0",
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_PATH": config,  # labconfig: no news
    }
    print(f"http://127.0.0.1:{port}{page}?token={token}", flush=True)
    print("Open this address if no browser does; Ctrl-C stops the server.", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends with this process
    server = subprocess.Popen(_command(folder, port, page, browser), env=environment)
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def require(*modules: str) -> None:
    """Say which module is missing.

    Raises:
        InputError: one is.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"{module} is not installed: use make explore, or pip install -e '.[lab]' in toydiff's folder"
            )


def _command(folder: Path, port: int, page: str, browser: bool) -> list[str]:
    headers = {"Content-Security-Policy": ONLY_HERE.format(port=port)}
    return [
        *(sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"),
        "--ServerApp.kernel_websocket_connection_class=toydiff.explorer.app.websocket.PromptConnection",
        *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}", f"--LabApp.default_url={page}"),
        *(() if browser else ("--no-browser",)),
        *(("--allow-root",) if os.geteuid() == 0 else ()),
        "--log-level=ERROR",  # or twenty lines would hide the address
        f"--ServerApp.tornado_settings={ {'headers': headers} }",
    ]


def _copied_notebooks() -> Path:
    """The folder toydiff-notebooks here, with all notebooks; what a person has changed stays."""
    folder = Path("toydiff-notebooks").resolve()
    try:
        folder.mkdir(exist_ok=True)
        for name in (NOTEBOOK, SLIDERS, *LESSONS):
            if not (folder / name).exists():
                shutil.copy(notebook_folder() / name, folder)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror}; start in another folder") from None
    return folder


def _usable_port(port: int | None) -> int:
    asked = 0 if port is None else count("port", port, 1, 65_535)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", asked))
        except OSError as error:
            raise InputError(f"port {asked} cannot be used: {error.strerror}; choose another") from None
        return int(probe.getsockname()[1])
