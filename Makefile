# What a person types. `make` alone lists the targets.
# Everything runs as root, on any Debian 12 or 13, with Debian's own tools only.

# Debian's, whatever else is in the PATH: its pytest goes with it.
PYTHON := /usr/bin/python3
RELEASE ?= trixie
HOST_PACKAGES := debian-archive-keyring git mmdebstrap python3 python3-pytest systemd-container
SOURCES := $(shell find sendrecv systemd monitoring debian cockpit pyproject.toml setup.cfg LICENSE -type f ! -name '*.pyc')
SUITE ?= $(RELEASE)
FAULTS ?= 200
MINUTES ?= 20
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help host deb demo bench test lint types unit long coverage system hosts habits admin lintian chaos endure starve audit faults shell clean

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

deb: sendrecv.deb ## build sendrecv.deb

sendrecv.deb: $(SOURCES) | host
	@$(PYTHON) -m tests.lab.workshop

demo: host sendrecv.deb ## watch it: start, kill, hang, stop, hand back, and the proof; or HOSTS=3
	@$(PYTHON) -m tests.demo$(if $(HOSTS),_hosts $(HOSTS))

test: host ## package, linters, types, unit and system tests on both releases
	@$(PYTHON) -m tests.steps

lint: host ## linters
	@$(PYTHON) -m tests.steps lint

types: host ## mypy --strict
	@$(PYTHON) -m tests.steps types

unit: host ## unit tests on the Python of both releases, model and simulation
	@$(PYTHON) -m tests.steps unit-bookworm unit-trixie model

long: host sendrecv.deb ## model and simulation, all of them and many more runs; what takes long in machines
	@$(PYTHON) -m tests.steps long long-unit long-bookworm long-trixie

coverage: host ## lines and branches that unit tests and simulation run: all of the core
	@$(PYTHON) -m tests.steps coverage

lintian: host sendrecv.deb ## Debian's checks of the package on both releases, and whether a second build has the same bytes
	@$(PYTHON) -m tests.steps lintian-bookworm lintian-trixie

system: host sendrecv.deb ## system tests in booted machines of both releases
	@$(PYTHON) -m tests.steps $(foreach part,1 2 3,system-bookworm-$(part) system-trixie-$(part))

hosts: host sendrecv.deb ## several hosts with etcd: system tests, more of them than in `make test`
	@$(PYTHON) -m tests.steps hosts-bookworm hosts-trixie

habits: host sendrecv.deb ## what bash, zsh, needrestart, piuparts and autopkgtest make of the package
	@$(PYTHON) -m tests.steps habits-bookworm habits-trixie

admin: host sendrecv.deb ## with a real Prometheus, and Cockpit in a browser, on both releases; pictures in .build/cockpit
	@$(PYTHON) -m tests.steps admin-bookworm admin-trixie

bench: host sendrecv.deb ## measure: ONLY=SECTION,... PEERS=1 KILLS=20 RELEASE=bookworm; ONLY=hosts
	@$(PYTHON) -m tests.bench $(RELEASE) --only '$(ONLY)' $(if $(PEERS),--peers) $(if $(KILLS),--kills $(KILLS))

chaos: host sendrecv.deb ## random faults on real systemd: FAULTS=200 SEED=1 SUITE=trixie or bookworm HOSTS=3
	@$(PYTHON) -m tests.chaos$(if $(HOSTS),.hosts --hosts $(HOSTS)) --suite $(SUITE) --faults $(FAULTS) $(if $(SEED),--seed $(SEED))

endure: host sendrecv.deb ## broken tokens and full disks, ten minutes each, SUITE=trixie or bookworm
	@$(PYTHON) -m tests.chaos.endure --suite $(SUITE)

audit: host sendrecv.deb ## audits of a journal that forgets all the time, with faults: MINUTES=20 SEED=1 RELEASE=bookworm
	@$(PYTHON) -m tests.chaos.audits --suite $(RELEASE) --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

starve: host sendrecv.deb ## five minutes of four busy loops a core, SUITE=trixie or bookworm
	@$(PYTHON) -m tests.chaos.starve --suite $(SUITE)

faults: host sendrecv.deb ## the part of `make test` at random: 120 faults, troubles that last, starvation
	@$(PYTHON) -m tests.steps chaos-bookworm chaos-trixie

shell: host ## a shell in a throw-away machine, RELEASE=trixie or bookworm, with the package if built
	@$(PYTHON) -m tests.lab.machine $(RELEASE)

clean: ## remove what was built (the cached Debian roots are in /var/cache/sendrecv-tests)
	rm -rf .build sendrecv.deb .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

host:
	@tests/lab/host.sh $(HOST_PACKAGES)
