# make run    the whole system with a demo plant, on http://127.0.0.1:8080
# make test   every test, with its own set-up; make test ARGS=test/unit/codec for some
# make web    the web pages, when they have changed; run and test do it, too. PYDATACOLL_WEB=skip leaves them out
# make soak   every fault at random for two hours, then as long with all plugins; make soak SOAK_MINUTES=10
# make screenshots   the pictures of the web pages in docs/, taken of the demo plant
# A Python of your choice: make run PYTHON=python3.12

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet --quiet
SOURCES = requirements.txt setup.py pyproject.toml pydatacoll/entry_points.ini
# npm of the machine or of PyPI, in web/
PAGES = $(BIN)/python build_backend/web_pages.py
PAGE_TESTS = $(shell find web -name node_modules -prune -o -name '*.test.ts*' -print -quit)
ARGS ?=
export SOAK_MINUTES SOAK_SEED

.PHONY: run web test lint format bench soak screenshots docs clean distclean
.DELETE_ON_ERROR:

run: $(VENV)/.installed
	@exec $(BIN)/python -m pydatacoll.api_server --demo $(ARGS)

web: $(VENV)/.python
	@$(PAGES)

test: $(VENV)/.installed-dev
	@sh test/install_servers.sh
ifeq ($(strip $(ARGS)),)
	@$(if $(PAGE_TESTS),$(PAGES) npm run test)
	@$(BIN)/python -m pytest -n 3 --dist loadfile test/fuzz test/integration test/unit
	@$(BIN)/python -m pytest -n 2 --dist loadfile test/system $(if $(filter skip,$(PYDATACOLL_WEB)),,test/e2e)
else
	@$(BIN)/python -m pytest $(ARGS)
endif

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(PAGES) npm run check
	@$(PAGES) npm run lint --if-present
	@for script in .ci/run test/install_servers.sh; do bash -n $$script || exit 1; done

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

soak: $(VENV)/.installed-dev
	@sh test/install_servers.sh
	@$(BIN)/python -m test.soak
	@$(BIN)/python -m test.soak.plugins

bench: $(VENV)/.installed-dev
	@sh test/install_servers.sh
	@$(BIN)/python -m bench $(ARGS)

screenshots: $(VENV)/.installed-dev
	@sh test/install_servers.sh
	@$(BIN)/python -m test.e2e.screenshots $(ARGS)

docs: $(VENV)/.installed-dev
	@$(BIN)/python -m sphinx -W -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf build dist *.egg-info docs/_build .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache pydatacoll/web/static web/.built web/.replaced
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) web/node_modules

# The venv is made again when its Python is gone, for instance after an upgrade of the system.
$(VENV)/.python: $(if $(wildcard $(BIN)/python),,no-venv)
	@touch $@

.PHONY: no-venv
no-venv:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python >= 3.11 was not found: install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is older than 3.11 or does not run: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment: install it (apt-get install python3-venv)" >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(if $(wildcard $(VENV)/pyvenv.cfg),--clear) $(VENV)

# The pages come first: whether they have changed is asked each time, and is no reason to install again.
$(VENV)/.installed: $(VENV)/.python $(SOURCES) | web
	@echo "installing the packages of requirements.txt"
	@$(PIP) -r requirements.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.python $(SOURCES) requirements-dev.txt | web
	@echo "installing the packages of requirements-dev.txt"
	@$(PIP) -r requirements-dev.txt -e .
	@touch $(VENV)/.installed $@
