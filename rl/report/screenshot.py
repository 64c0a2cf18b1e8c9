"""A picture of a page that this project has written, by headless Chromium."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from rl.console import UserError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-sync", "--disable-component-update", "--hide-scrollbars"),
)
SECONDS = 120


def find_browser() -> str | None:
    """Path of a Chromium or Chrome; None where there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name)) is not None), None)


def screenshot(page: Path, picture: Path, width: int = 1280, height: int = 1600, dark: bool = False) -> Path:
    """A PNG of the page's top `height` pixels. Raises UserError where there is no browser, or it fails."""
    browser = find_browser()
    if browser is None:
        raise UserError("there is no Chromium to take a picture with", str(picture), f"install one of: {', '.join(BROWSERS)}")
    picture = picture.resolve()
    picture.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ucoder-browser-") as profile:
        where = [f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={picture}"]
        address = f"{page.resolve().as_uri()}?theme={'dark' if dark else 'light'}"
        done = subprocess.run([browser, *FLAGS, *where, address], capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode != 0 or not picture.is_file():
        raise UserError(f"{browser} took no picture: {done.stderr.strip()[-300:]}", str(picture))
    return picture
