"""A headless Chromium, a served explorer, and its page as a person uses it; for the tests and the benchmark."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
REST_MS = 300
"""A picture that stays for so long and is drawn in full is the last one."""


@contextmanager
def chromium():
    """The system's Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served(folder, **environment):
    """The address of `toydiff explore --no-browser` in `folder`; the server is stopped by its own id."""
    log = folder / "log"
    with log.open("w") as file:
        command = [sys.executable, "-m", "toydiff", "explore", "--no-browser"]
        server = subprocess.Popen(
            command, cwd=folder, stdout=file, stderr=subprocess.STDOUT, env=os.environ | environment
        )
    try:
        for _ in range(240):
            found = re.search(r"http://127\.0\.0\.1:\d+/doc/tree/\S+", log.read_text())
            if found and _answers(found[0]):
                break
            time.sleep(0.25)
        else:
            raise TimeoutError(f"no server: {log.read_text()[-2000:]}")
        yield found[0]
    finally:
        server.send_signal(2)
        server.wait(30)


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def run_all(page):
    """In JupyterLab a command that comes before the kernel is dropped silently: repeat until it took."""
    page.wait_for_selector(".jp-CodeCell", timeout=60_000)
    for _ in range(120):
        page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
        page.wait_for_timeout(500)
        if page.locator(".jp-CodeCell .jp-InputPrompt").first.inner_text().strip() not in ("[ ]:", "[]:", ""):
            return
    raise TimeoutError("Run All was never taken")
