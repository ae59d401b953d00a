# Every target gets what it needs first (`setup`, quick when nothing is missing). docs/stack.md tells more.

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo "$(CURDIR)/.tools/uv/bin/uv")
# The machine's certificates, where it has some: behind a company's proxy only they know it.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= true
endif
RUN := "$(UV)" run --frozen

.PHONY: setup demo up down test data-test check bench kill-test agent-kill-test real-projects

setup:
	@$(PYTHON) deploy/setup.py

demo: setup
	@$(RUN) millwright demo

up: setup
	@$(RUN) millwright up

down: setup
	@$(RUN) millwright down

test: setup
	$(RUN) pytest -n 2 -m "not data"

data-test: setup
	$(RUN) pytest -m data

check: setup
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	"$(UV)" lock --check

bench: setup
	$(RUN) python -m benchmarks

kill-test: setup
	$(RUN) python -m tests.campaigns.kill_test

agent-kill-test: setup
	$(RUN) python -m tests.campaigns.agent_kill

# PROJECTS=<folder of repositories, each with a case.json> (read from the environment); without it, public projects from the package index.
# AGENT=1 lets the agent phase do the work, with tools.
real-projects: setup
	$(RUN) python -m tests.campaigns.real_projects
