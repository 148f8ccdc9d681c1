"""Debian's Chromium in a machine, told what to do by lines of JSON; see tests/lab/browser.py.

Each line is a list: the name of a method of Page, and its arguments. The answer is a line with what
it returned, or with {"error": ...}.
"""

import json
import sys
from typing import Any

# They are in the machine alone.
# pylint: disable=import-error
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

# pylint: enable=import-error

OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # it is root, in a machine that has nothing to lose
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)


class Page:
    """What a person sees, and does."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        for option in OPTIONS:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.chrome.service.Service("/usr/bin/chromedriver")
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(60)

    def open(self, url: str) -> None:
        """A new page."""
        self.driver.get(url)

    def frame(self, prefix: str) -> bool:
        """Goes into the frame whose name begins so: the page in Cockpit's shell."""
        self.driver.switch_to.default_content()
        for frame in self.driver.find_elements("tag name", "iframe"):
            if (frame.get_attribute("name") or "").startswith(prefix):
                self.driver.switch_to.frame(frame)
                return True
        return False

    def shell(self) -> None:
        """Out of the frame."""
        self.driver.switch_to.default_content()

    def size(self, width: int, height: int) -> None:
        """Of the window, in pixels: also what is narrower than Chromium's own windows can be."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def script(self, text: str) -> Any:
        """The value of that expression; a promise is waited for."""
        told = "done, error => done(`${error}`)"
        whole = f"const done = arguments[0]; (async () => ({text}))().then({told});"
        return self.driver.execute_async_script(whole)

    def keys(self, *names: str) -> None:
        """Presses these keys, or types a text."""
        actions = webdriver.ActionChains(self.driver)
        for name in names:
            if name.startswith("SHIFT+"):
                key = getattr(Keys, name.removeprefix("SHIFT+"))
                actions.key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT)
            else:
                actions.send_keys(getattr(Keys, name, name))
        actions.perform()

    def click(self, selector: str) -> None:
        """As with a mouse: what is hidden or covered cannot be clicked."""
        self.driver.find_element("css selector", selector).click()

    def shot(self, path: str) -> None:
        """A picture of the window."""
        self.driver.save_screenshot(path)

    def log(self) -> list[str]:
        """What the browser has complained of since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


def main() -> None:
    """Until the end of standard input."""
    page = Page()
    try:
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            try:
                answer = getattr(page, name)(*arguments)
            except Exception as error:  # pylint: disable=broad-exception-caught  # it is told
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer, default=str), flush=True)  # an element is a text
    finally:
        page.driver.quit()


if __name__ == "__main__":
    main()
