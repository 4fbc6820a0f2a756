# Every target lists and installs what is missing first (Debian packages), so that a fresh clone needs nothing else.
SHELL := /bin/bash
PACKAGES := libssl-dev libsodium-dev liblmdb-dev libxxhash-dev libmicrohttpd-dev libcurl4-openssl-dev openssl strace curl jq python3-jsonschema python3-venv
# Of Debian's package prometheus only this program is wanted, and no service: it is unpacked, not installed.
PROMTOOL := .build/tools/usr/bin/promtool
# The foreign side of the tests: pinned packages of PyPI, in an environment of their own.
FOREIGN := .build/tools/python
BENCH_PACKAGES := gcc python3
SEEDS ?= 200

.PHONY: help setup build demo test test-slow simulate bench lint

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## list and install what is missing: Debian packages, promtool, the foreign TUF client
	@command -v swift >/dev/null || { echo "Swift 6.3 or newer is needed: https://www.swift.org/install/linux/"; exit 1; }
	@swift --version 2>/dev/null | grep -qE 'Swift version (6\.[3-9]|6\.[1-9][0-9]|[7-9])' \
	    || { echo "Swift 6.3 or newer is needed, this is: $$(swift --version 2>/dev/null | head -1)"; exit 1; }
	@missing=""; for package in $(PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	    echo "missing:$$missing"; \
	    sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null \
	        && echo "installed:$$missing"; \
	fi
	@command -v promtool >/dev/null || [ -x $(PROMTOOL) ] || { \
	    echo "missing: promtool"; \
	    sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -qq && rm -rf .build/tools/usr && mkdir -p .build/tools && cd .build/tools \
	        && apt-get download -qq -o APT::Sandbox::User=root prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb \
	        && echo "unpacked: $(PROMTOOL)"; \
	}
	@cmp -s Tests/Foreign/requirements.txt $(FOREIGN)/requirements.txt || { \
	    echo "missing: $$(grep -o '^[a-z0-9]*==[0-9.]*' Tests/Foreign/requirements.txt | tr '\n' ' ')"; \
	    rm -rf $(FOREIGN) && /usr/bin/python3 -m venv $(FOREIGN) \
	        && $(FOREIGN)/bin/python -m pip install -q --disable-pip-version-check --no-input --no-deps --only-binary :all: \
	            -r Tests/Foreign/requirements.txt \
	        && cp Tests/Foreign/requirements.txt $(FOREIGN)/requirements.txt && echo "installed: $(FOREIGN)" \
	        || echo "not installed: $(FOREIGN); PyPI is asked for it, and only the tests against python-tuf need it"; \
	}

build: setup ## build the release: .build/release/ekc
	swift build -c release --product ekc

demo: build ## build, then run the demo
	.build/release/ekc demo

test: setup ## every test but the slow ones
	swift test --disable-xctest

test-slow: build ## counts taken from outside: flushes a group, many kills, hostile crowds; a slow line (minutes)
	EKC_SLOW=1 swift test --disable-xctest --filter Slow

simulate: setup ## run SEEDS=n seeds of the simulator and print what they met
	@SEEDS=$(SEEDS) swift test --disable-xctest --filter SimulationTests 2>&1 | grep -E '^(simulate:|error:|↳)|✘' ; exit $${PIPESTATUS[0]}

bench: PACKAGES += $(BENCH_PACKAGES)
bench: build ## measure against the limit program and the budgets; BENCH="--quick --only counts --output DIR" (20 minutes)
	python3 -B Tests/Benchmarks/bench.py $(BENCH)

lint: ## formatting, as swift-format sees it
	swift format lint --strict -r Sources Tests Package.swift
