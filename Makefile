# Few commands, the same in the README and in CI. Each sets up what it needs by itself.
UV_VERSION := 0.13.9
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
BIN := .venv/bin
ARGS ?=
COMPILE = $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url
EXTRAS = --extra admin --extra postgresql --extra mysql --extra adapters --extra otel

.PHONY: help setup demo test check bench soak docs lock clean
help: ## Show what can be done here
	@grep -E '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/.complete ## Make .venv with all that the project needs (the other targets do it by themselves)

demo: setup ## Start a real Kafka and the whole city, play 500 requests through it, stay up until Ctrl-C
	@$(BIN)/subak demo $(ARGS)

test: setup ## Run the tests, on a real Kafka, two files at a time, the slow ones first
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup ## Lint, types, architecture, published schemas, workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/subak schemas check
	$(BIN)/subak workflow lint --city denpasar
	$(BIN)/subak workflow lint --city san-francisco

bench: setup ## Measure: stages against their peers, whole lifecycles, latency
	$(BIN)/python -m bench $(ARGS)

soak: setup ## The long runs on one broker and on three, and the operator's drill: 20 minutes, or hours if you like (ARGS="--minutes 60")
	$(BIN)/python -m pytest tests/faults tests/identity tests/simulation -m soak --soak -s $(ARGS)

docs: .tools/checks/.complete ## Build the documentation's pages into site/; a warning is an error
	.tools/checks/bin/zensical build --clean --strict

lock: .tools/uv/bin/uv ## Resolve requirements.lock, and those of the image and of the checks, anew from pyproject.toml
	$(COMPILE) --group dev $(EXTRAS) --extra local -o requirements.lock pyproject.toml
	$(COMPILE) $(EXTRAS) -c requirements.lock -o deploy/image/requirements.lock pyproject.toml
	$(COMPILE) --group build -o deploy/image/build.lock
	$(COMPILE) --group checks -c requirements.lock -o deploy/checks.lock

clean: ## Forget the environment and the local bus
	rm -rf .venv .tools .subak

.venv/.complete: requirements.lock pyproject.toml
	@command -v uv >/dev/null 2>&1 || test -x .tools/uv/bin/uv || $(MAKE) --no-print-directory .tools/uv/bin/uv
	@test -x $(BIN)/python || $(UV) venv -q .venv
	@echo "Installing what requirements.lock names into .venv ..."
	@$(UV) pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

.tools/checks/.complete: deploy/checks.lock
	@command -v uv >/dev/null 2>&1 || test -x .tools/uv/bin/uv || $(MAKE) --no-print-directory .tools/uv/bin/uv
	@test -x .tools/checks/bin/python || $(UV) venv -q .tools/checks
	@echo "Installing what deploy/checks.lock names into .tools/checks ..."
	@$(UV) pip install -q --python .tools/checks/bin/python --require-hashes -r deploy/checks.lock
	@touch $@

.tools/uv/bin/uv:
	@echo "Fetching uv $(UV_VERSION) into .tools ..."
	@python3 -m venv .tools/uv
	@.tools/uv/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
