PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# The newest Python that runs here, if it is newer than that of $(VENV); nothing otherwise. pyenv keeps most of its own
# off the path.
NEWEST = $(shell for minor in 14 13 12; do \
  $(BIN)/python -c "import sys; sys.exit(sys.version_info >= (3, $$minor))" || break; \
  for python in python3.$$minor "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.$$minor.*/bin/python; do \
    "$$python" -c "import ensurepip" 2>/dev/null && echo "$$python" && exit; \
  done; done)
CORE = $(addprefix tests/,base distributions networks sampling guidance measuring)
STATISTICS = tests/guidance/test_phenomena.py tests/measuring/test_metrics.py tests/networks/test_zoo.py \
  tests/sampling/test_sampler.py

.PHONY: figures report explore lessons test test-newest test-slow bench scaling opening lint format docs zoo check-wheel clean

# Draw every figure into figures/. On a fresh machine this also makes the environment.
figures: $(VENV)/.main
	$(BIN)/toydiff figures

# Open the explorer in JupyterLab.
explore: $(VENV)/.lab
	$(BIN)/toydiff explore

# Open the first of the lessons; the others lie beside it.
lessons: $(VENV)/.lab
	$(BIN)/toydiff explore --lesson 1

# Measure what the paper says, and write figures/RESULTS.md anew: six minutes on two cores.
report: $(VENV)/.main
	$(BIN)/toydiff report

# All tests but the slow ones: on two processes, each file in one, where it compiles and prepares what its tests share;
# then those in Chromium, which are skipped where it is missing.
test: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not browser"
	$(BIN)/pytest -n 2 --dist loadfile -m "browser and not slow"

# The folders that compute, on the newest Python and with the newest packages that it takes: what changes there is seen
# here first. Nothing, where no Python is newer than that of the other tests. How near solvers, methods and metrics come
# in many samples, and what the bundled networks reach, is no matter of versions and takes a third of the time.
test-newest: $(BIN)/python
	@set -e; python="$(NEWEST)"; \
	if [ -z "$$python" ]; then echo "No newer Python than that of $(VENV) runs here."; exit; fi; \
	"$$python" -m venv .venv-newest; \
	.venv-newest/bin/pip install --quiet --no-compile --upgrade --upgrade-strategy eager --editable ".[test]"; \
	.venv-newest/bin/python -c "import sys, jax, numpy; print('Python', sys.version, 'JAX', jax.__version__)"; \
	.venv-newest/bin/pytest -n 2 --dist loadfile -m "not slow and not browser" $(CORE) $(STATISTICS:%=--ignore=%)

# How fast everything is on this machine, the explorer in Chromium too, into benchmarks/.
bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py

# How time and memory grow with the size of the work: some ten minutes.
scaling: $(VENV)/.dev
	$(BIN)/python benchmarks/scaling.py

# Record anew what stands on the explorer's screen before anything is computed, and the outlier levels.
opening: $(VENV)/.main
	$(BIN)/python -m toydiff.measuring.levels
	$(BIN)/python -m toydiff.explorer.opening

test-slow: $(VENV)/.dev
	$(BIN)/pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation as a site, build/docs/index.html; warnings are errors.
docs: $(VENV)/.dev
	$(BIN)/python -m sphinx --builder html --conf-dir docs --doctree-dir build/doctrees --fail-on-warning --quiet . build/docs

# Train the bundled weights again: half an hour on two cores.
zoo: $(VENV)/.main
	$(BIN)/toydiff train --zoo --out toydiff/networks/weights

# The wheel, alone in an empty environment, draws a figure, and holds the drawings and what the explorer needs.
# Only what is then imported is byte-compiled: all of the dependencies would take longer than the rest.
check-wheel: $(VENV)/.dev
	rm -rf build/wheel && mkdir -p build/wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir build/wheel
	$(PYTHON) -m venv --without-pip build/wheel/venv
	$(BIN)/pip --python build/wheel/venv/bin/python install --quiet --no-compile build/wheel/*.whl
	$(PYTHON) -m zipfile -l build/wheel/*.whl > build/wheel/files
	for file in base/__init__.pyi explorer/__init__.pyi explorer/app/labconfig/page_config.json \
	  explorer/app/page.html explorer/app/page.css explorer/app/host.js \
	  explorer/front/main.js explorer/front/front.css explorer/front/opening.json explorer/jupyter/host.js measuring/levels.json \
	  explorer/page/page.html explorer/page/engine.js; \
	  do grep -q "toydiff/$$file" build/wheel/files || exit 1; done
	grep -q notebooks/explorer.ipynb build/wheel/files && grep -q notebooks/sliders.ipynb build/wheel/files
	test $$(grep -c 'notebooks/[1-7]-.*ipynb' build/wheel/files) = 7
	for name in letters rings spirals; do grep -q toydiff/distributions/drawings/$$name.json build/wheel/files || exit 1; done
	cd build/wheel && venv/bin/toydiff figures --only fig2 --format png,pdf --out drawn
	test -s build/wheel/drawn/fig2.png && test -s build/wheel/drawn/fig2.pdf

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.main: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.lab: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable ".[lab]"
	touch $@ $(VENV)/.main

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/.lab $(VENV)/.main

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
