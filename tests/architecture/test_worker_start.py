"""A worker starts without the libraries that speak to providers: they take longer to load than all else of it."""

import subprocess
import sys


def test_libraries_of_providers_wait_for_the_first_call() -> None:
    code = "import sys, worker.__main__; print(sorted({'anthropic', 'openai', 'pydantic_ai'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
