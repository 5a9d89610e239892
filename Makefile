# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000

# ---- the demo: city -> index -> server ---------------------------------------------------------------------------
DEMO := demo
CITY := $(DEMO)/data/demo
MAP := $(DEMO)/maps/day
# with PyTorch where there is an NVIDIA GPU, else without; what `make test` installs holds all of it
DEVICE := $(if $(shell nvidia-smi -L 2>/dev/null),gpu,cpu)
COMMA := ,
READY = $(or $(wildcard $(VENV)/test-installed),$(VENV)/$(DEVICE)$(COMMA)demo-installed)
NIGHT = $(firstword $(sort $(wildcard $(CITY)/original/domain_b/val/*.jpg)))

.PHONY: demo encoder test lint types format clean screenshot
.DELETE_ON_ERROR:

demo: $(MAP)/CURRENT
	@echo "Try it from another terminal, with a photograph taken at night:"
	@echo "  curl -F image=@$(NIGHT) 'http://127.0.0.1:$(PORT)/v1/query?k=5'"
	$(BIN)/daco-serve run --index $(MAP) --port $(PORT)

# three photographs by night are offered on the page to try it
$(MAP)/CURRENT: $(DEMO)/rendered
	rm -rf $(DEMO)/samples && mkdir $(DEMO)/samples
	cp $$(ls $(CITY)/original/domain_b/val/*.jpg | sed -n '1p;8p;15p') $(DEMO)/samples/
	$(BIN)/daco-index build demo/day --data-root $(DEMO)/data --samples $(DEMO)/samples --out $(MAP)

$(DEMO)/rendered: | $(READY)
	$(BIN)/daco-data demo --data-root $(DEMO)/data --places 80 --size 192 --seed 1 --domains day,night
	@touch $@

# ---- the encoder that comes with the package: real streets by day and night, rendered ones in fog too ---------------
# Smaller values, and SHIPPED set to another folder, try the command in minutes.
DRIVING ?= ../shared/data/driving
WORK := encoder
PLACES := 200
SIZE := 224
ITERS := 200
SHIPPED := core/daco_core/encoder/shipped
STREETS := $(WORK)/data/streets
SNOW := $(WORK)/data/snow

# two trainings, with a frozen backbone and with its last stage learning: the encoder is a quarter of the way between,
# with a learned whitening of its descriptors
encoder: $(WORK)/twins
	mkdir -p $(SHIPPED)
	set -e; for rate in 0 1e-4; do \
	  $(BIN)/daco-train --recipe modern --pooling place --precision fp32 --batch_size 32 --iters $(ITERS) --lamda 2 \
	    --tail_lr $$rate --data_root $(WORK)/data --data_name streets --save_root $(WORK)/tail-$$rate \
	    $$(test -e $(WORK)/tail-$$rate/streets_daco_last.ckpt && echo --resume); \
	  cp $(WORK)/tail-$$rate/streets_daco_results.csv $(SHIPPED)/log-tail-$$rate.csv; done
	$(BIN)/daco-train average $(WORK)/tail-0/streets_daco $(WORK)/tail-1e-4/streets_daco --share 0.25 --out $(WORK)/between
	$(BIN)/daco-train whiten $(WORK)/between --data-root $(WORK)/data --data-name streets --viewpoints demo --out $(WORK)/whitened
	$(BIN)/daco-train pack $(WORK)/whitened --out $(WORK)/packed
	cp $(WORK)/packed/* $(SHIPPED)/

# of a rendered place the twin is the same place rendered in the other condition; days come once more, with snow as twin
$(WORK)/twins: | $(or $(wildcard $(VENV)/test-installed),$(VENV)/$(DEVICE)$(COMMA)demo$(COMMA)train-installed)
	$(BIN)/daco-data demo --data-root $(WORK)/data --places $(PLACES) --size $(SIZE) --seed 1 \
	  --viewpoint 3,15 --viewpoint 6,30 --viewpoint-split train
	mkdir -p $(STREETS) && cp -R $(DRIVING)/original $(STREETS)/ && chmod -R u+w $(STREETS)
	$(BIN)/daco-data translate streets --data-root $(WORK)/data --method night
	for domain in a b c; do cp -R $(WORK)/data/demo/original/domain_$$domain $(STREETS)/original/; done
	mkdir -p $(STREETS)/generated/domain_c/train $(SNOW)/original
	for pair in a:b b:a c:a; do \
	  cp $(WORK)/data/demo/original/domain_$${pair#*:}/train/*.jpg $(STREETS)/generated/domain_$${pair%:*}/train/; done
	cp -R $(DRIVING)/original/domain_a $(SNOW)/original/ && chmod -R u+w $(SNOW)
	$(BIN)/daco-data translate snow --data-root $(WORK)/data --method snow
	for kind in original generated; do \
	  mkdir -p $(STREETS)/$$kind/domain_d && cp -R $(SNOW)/$$kind/domain_a/. $(STREETS)/$$kind/domain_d/; done
	@touch $@

# ---- for developers ----------------------------------------------------------------------------------------------
# Few processes, as each imports PyTorch, and imports it again where it forks commands. OpenVINO, Ray, Mitsuba and
# PyTorch together in one process crashed it once. With the versions of constraints.txt no two of them and FAISS do, in
# either order, nor all five in five orders; a serving process loads OpenVINO and FAISS alone
# (tests/daco_serve/test_native_libraries.py). The longest begin first; three at a time, as a third of their time is
# waiting: for browsers, clocks, servers that start.
SUITES := tests/daco_serve tests/training tests/documentation tests/index tests/core
tests/documentation: TOO := tests/bench
tests/core: TOO := $(wildcard tests/test_*.py)
.PHONY: $(SUITES)
# Python keeps what it has compiled, even where the environment forbids it: many commands are run.
test $(SUITES): export PYTHONDONTWRITEBYTECODE :=
# A line that names $(MAKE) runs even in a dry run, so it holds nothing else.
test: $(VENV)/test-installed
ifdef PYTEST_ARGS
	$(BIN)/pytest $(PYTEST_ARGS)
else
	$(MAKE) --jobs=3 --keep-going --output-sync=target $(SUITES)
endif
$(SUITES):
	$(BIN)/pytest --durations=25 $(SKIPS:%=--expected-skips %) $@ $(TOO)

# the documentation's pictures of the page, of the demo city and nothing else; needs Chromium
screenshot: $(MAP)/CURRENT $(VENV)/test-installed
	$(BIN)/daco-bench calibrate demo/night --split val --data-root $(DEMO)/data --index $(MAP)
	$(BIN)/python docs/images/take.py $(MAP) $(CITY)/original/domain_b/val

lint: $(VENV)/test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test-installed
	$(BIN)/mypy

format: $(VENV)/test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO) $(WORK)

# ---- installation ------------------------------------------------------------------------------------------------
$(VENV)/%-installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	@touch $@
