"""browser.py - a page as a real browser shows it: its text after scripts ran, its picture, what the console said."""
import html
import os
import re
import shutil

import procs

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--hide-scrollbars",
          "--force-color-profile=srgb", "--lang=en"]
# What the page itself says (console, refused by its policy), not the browser's own troubles with a machine without a bus.
_CONSOLE = re.compile(r"CONSOLE|Content Security Policy")


def find():
    """The browser's path, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Shown:
    def __init__(self, dom, console):
        self.dom, self.console = dom, console

    def text(self, identity):
        """All text inside of the element with this id, blanks joined."""
        m = re.search(rf'<(\w+)[^>]*\bid="{identity}"[^>]*>', self.dom)
        assert m, f"the page has no element {identity}"
        depth, at = 1, m.end()
        for tag in re.finditer(rf"<(/?){m.group(1)}\b[^>]*>", self.dom[at:]):
            depth += -1 if tag.group(1) else 1
            if not depth:
                inside = self.dom[at:at + tag.start()]
                return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", inside)).split())
        raise AssertionError(f"element {identity} does not end")


def show(url, directory, picture=None, width=1180, height=1000, dark=False, seconds=4):
    """Loads it, lets its scripts have `seconds` of the browser's own time, returns what is there then."""
    os.makedirs(directory, exist_ok=True)
    flags = [*_FLAGS, f"--user-data-dir={os.path.join(directory, 'profile')}", f"--window-size={width},{height}",
             f"--virtual-time-budget={seconds * 1000}", "--enable-logging=stderr", "--v=0"]
    if dark:
        flags.append("--blink-settings=preferredColorScheme=0")
    env = {**os.environ, "HOME": directory, "XDG_CONFIG_HOME": directory, "XDG_CACHE_HOME": directory}
    what = [f"--screenshot={picture}"] if picture else ["--dump-dom"]
    rc, out, err = procs.run([find(), *flags, *what, url], timeout=120, env=env)
    assert rc == 0, f"the browser ended with {rc}: {err.decode(errors='replace')[-2000:]}"
    said = [line for line in err.decode(errors="replace").splitlines() if _CONSOLE.search(line)]
    return Shown(out.decode(errors="replace"), said)
