"""A headless Chromium, and what it told of itself: its console, and whom it asked."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
)


class Browser:
    """`look` waits for nothing: it reads the page as it is."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.asked: set[str] = set()
        self.complaints: list[str] = []

    def open(
        self, url: str, *, width: int = 1280, height: int = 800, scheme: str = "light"
    ) -> None:
        """The page in a window of that size, for somebody who likes it light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        self.driver.get("about:blank")
        self._drain()
        self.asked, self.complaints = set(), []
        self.driver.get(url)

    def look(self, script: str) -> Any:
        """What the expression is in the page."""
        return self.driver.execute_script(f"return {script}")

    def wait_for(self, script: str, seconds: float = 20) -> Any:
        """What the expression is, once it is something."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds, 0.05).until(lambda _: self.look(script), script)

    def text(self, id_: str) -> str:
        found: str = self.look(f"document.getElementById({json.dumps(id_)}).textContent")
        return found

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def overheard(self) -> tuple[set[str], list[str]]:
        """Hosts asked since the page was opened, and everything on the console."""
        self._drain()
        return self.asked, self.complaints

    def _drain(self) -> None:
        self.complaints += [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                url = urlsplit(event["params"]["request"]["url"])
                if url.scheme not in ("data", "blob", "about"):
                    self.asked.add(url.netloc)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Skips where there is none."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("the page is looked at with chromium and chromedriver; one is not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(started)
    finally:
        started.quit()
