# Three commands are all you need: "make demo" to see it, "make install" to use it, "make test" to prove it.
SHELL := /bin/bash
PYTHON ?= python3
BOT := .venv/bin/bot
LOCK := --universal --generate-hashes --no-header --no-annotate --python-version 3.11
UV := $(shell command -v uv 2>/dev/null)

.PHONY: help demo install test check extras lint lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: .venv/run ## Rehearse a week with the sample items; look at outbox/index.html
	@$(BOT) init --sample . >/dev/null
	@echo "Rehearsing a week with the 25 sample items; nothing leaves this computer ..."
	@$(BOT) run --now "2026-11-23 08:00" --until "2026-11-30 07:59"

# A folder on the PATH that we may write to: the person's own, else, for root, everybody's.
BIN ?= $(if $(filter 0,$(shell id -u)),/usr/local/bin,$(HOME)/.local/bin)

install: .venv/run ## Put the commands "bot" and "broadside" on your PATH
	@mkdir -p "$(BIN)"
	@for name in bot broadside; do \
	  other=$$(command -v $$name 2>/dev/null); \
	  if [ -n "$$other" ] && [ "$$(readlink -f "$$other")" != "$(CURDIR)/.venv/bin/$$name" ] && \
	     ! readlink -f "$$other" | grep -q "/\.venv/bin/$$name$$"; then \
	    echo "There is another '$$name' already ($$other); it stays. Write 'broadside' for ours."; \
	  else \
	    ln -sfn "$(CURDIR)/.venv/bin/$$name" "$(BIN)/$$name" && echo "Installed $(BIN)/$$name"; \
	  fi; \
	done
	@case ":$$PATH:" in *":$(BIN):"*) echo "Next: bot init ~/our-newsletter";; \
	  *) echo "$(BIN) is not on your PATH yet. Open a new terminal, or: export PATH=\"$(BIN):\$$PATH\"";; esac

test: .venv/dev ## Everything: lint, types, import floors, all tests (CI runs this)
	@$(MAKE) --no-print-directory lint
	@sh tests/support/debian_packages.sh
	.venv/bin/pytest -n auto --dist loadgroup

check: .venv/dev lint ## The everyday run: no servers, no browser, nothing slow
	.venv/bin/pytest -n auto -m "not slow and not server and not browser"

extras: .venv/run ## What many machines need (PostgreSQL), and a faster event loop
	@sed -E 's/ *\\$$//; /^ *--hash|^#/d' requirements.lock > .venv/versions.txt
	@$(if $(UV),uv pip install -q --python .venv/bin/python,.venv/bin/pip install -q --disable-pip-version-check) -c .venv/versions.txt --no-build-isolation -e '.[fast,postgresql]'

lint: .venv/dev
	.venv/bin/ruff format --check bot tests benchmarks
	.venv/bin/ruff check bot tests benchmarks
	.venv/bin/mypy
	.venv/bin/lint-imports

# The lock file has two parts: what the program needs, then what only the tests need.
.venv/run: requirements.lock pyproject.toml
	@test -x .venv/bin/python || $(if $(UV),uv venv -q .venv,$(MAKE) --no-print-directory .venv/bin/pip)
	@sed '/^# === only for tests ===/,$$d' requirements.lock > .venv/run.lock
	@echo "Installing $$(grep -c == .venv/run.lock) Python packages into .venv, once (15 to 70 seconds) ..."
	@$(if $(UV),uv pip install -q --python .venv/bin/python,.venv/bin/pip install -q --disable-pip-version-check) --require-hashes -r .venv/run.lock
	@$(if $(UV),uv pip install -q --python .venv/bin/python,.venv/bin/pip install -q --disable-pip-version-check) --no-deps --no-build-isolation -e .
	@touch $@

# Debian keeps the venv module in a package of its own.
.venv/bin/pip:
	@echo "Making a Python environment in .venv ..."
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || { rm -rf .venv; \
	  [ "$$(id -u)" = 0 ] || { echo "Please install one package first: sudo apt-get install python3-venv" >&2; exit 1; }; \
	  echo "Installing python3-venv ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null 2>&1; \
	  $(PYTHON) -m venv .venv; }

.venv/dev: .venv/run
	@echo "Installing what the tests need into .venv, once (up to a minute) ..."
	@$(if $(UV),uv pip install -q --python .venv/bin/python,.venv/bin/pip install -q --disable-pip-version-check) --require-hashes -r requirements.lock
	@touch $@

lock: ## Resolve the newest allowed versions into requirements.lock (needs uv)
	@uv pip compile -q pyproject.toml --group install --group dev $(LOCK) -o .lock.all
	@uv pip compile -q pyproject.toml --group install -c .lock.all $(LOCK) -o .lock.run
	@$(PYTHON) -c "import re,pathlib as p; \
	cut=lambda name: re.split(r'(?m)^(?=[a-z0-9])', p.Path(name).read_text())[1:]; \
	run=cut('.lock.run'); have={b.split('==')[0] for b in run}; \
	extra=[b for b in cut('.lock.all') if b.split('==')[0] not in have]; \
	p.Path('requirements.lock').write_text(''.join(['# Made by: make lock\n', *run, '# === only for tests ===\n', *extra]))"
	@rm .lock.all .lock.run

clean: ## Remove what rehearsals and builds made, never the queue
	rm -rf outbox state build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
