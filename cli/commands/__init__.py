"""Commands over HTTP: `run` and `demo`; and `pipeline check`, which needs no server."""
