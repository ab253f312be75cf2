# THEMIS: the one door. `make` alone lists what it opens.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help install build run test check fix generate docs demo crash browser hostile bench soak rebuild fuzz asan tsan clean

DATA ?= ./data
PORT ?= 8765
ROUNDS ?= 200
ROWS ?=
QUICK ?=
MINUTES ?=

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: ## install the Debian packages that are missing, for building and for tests
	@Scripts/install.sh build test

build: ## build the four services for release, into .build/release
	@Scripts/install.sh build
	@Scripts/build-release.sh

run: build ## build, start the whole set on DATA=./data and PORT=8765, print what to try
	@Scripts/run.sh "$(DATA)" "$(PORT)"

test: install ## build and run every tier of tests
	@Scripts/install.sh browser
	@Scripts/test.sh

check: install ## format, strict build, walls, house rules, generated files; `make fix` and the texts repair
	@Scripts/check.sh

fix: ## format every Swift file in place
	@swift format --in-place --recursive --parallel Package.swift Sources Tests

generate: ## write the C code of the RPC contract and of OTLP again from the .proto files
	@Scripts/generate.sh Sources

docs: ## write the tables in docs/ again from the catalogs
	@Scripts/docs.sh

demo: build ## import the Debian package index while a client follows the changefeed, then kill and compare
	@/usr/bin/python3 Scripts/demo

crash: install ## kill the core at random under load, ROUNDS=200 times, and compare with the ledger
	@swift build --build-tests
	@THEMIS_CRASH_ROUNDS=$(ROUNDS) THEMIS_TRANSACTION_ROUNDS=$(ROUNDS) Scripts/tier.sh crash --filter CrashTests

browser: install ## follow the changefeed with Chromium through nginx and HAProxy while processes are killed
	@Scripts/install.sh browser
	@swift build
	@Scripts/browser

hostile: build ## thousands of slow, half-open and never-reading clients: what the others feel, what the processes hold
	@/usr/bin/python3 Scripts/hostile

bench: build ## compare with peers on this machine, ROWS=rpc-get,… for some rows, QUICK=1 for one short round
	@Scripts/install.sh bench
	@swift build -c release --static-swift-stdlib --product themis_bench
	@/usr/bin/python3 Scripts/bench $(if $(ROWS),--rows $(ROWS)) $(if $(QUICK),--quick)

soak: build ## mixed load for MINUTES=30, watching memory and descriptors of every process
	@Scripts/install.sh bench
	@swift build -c release --static-swift-stdlib --product themis_bench
	@/usr/bin/python3 Scripts/soak $(or $(MINUTES),30)

rebuild: build ## build an index over half a million entities anew under load, cancel it, kill the core in it
	@Scripts/install.sh bench
	@swift build -c release --static-swift-stdlib --product themis_bench
	@/usr/bin/python3 Scripts/rebuild

fuzz: install ## search MINUTES=10 a target for inputs that break something, two targets at a time
	@Scripts/fuzz.sh $(or $(MINUTES),10)

asan: install ## run the unit, contract and service tests under AddressSanitizer
	@Scripts/sanitize.sh address

tsan: install ## run the unit, contract and service tests under ThreadSanitizer
	@Scripts/sanitize.sh thread

clean: ## remove what was built; data stays
	@rm -rf .build
