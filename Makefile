SHELL := /bin/bash
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## Serve gRPC on 127.0.0.1:50051 and HTTP on 127.0.0.1:8080, with SQLite in ./data
	@scripts/setup build
	cargo run --locked -- serve

demo: ## Walk through the service from end to end
	@scripts/setup build
	cargo run --locked -- demo

test: ## Run every test, against SQLite and a throwaway PostgreSQL
	@scripts/test

lint: ## Check formats, clippy, rustdoc and the protos
	@scripts/lint

bench: ## Measure the index in process: evaluation, memory, applying, subscriptions, starting
	@scripts/setup build
	cargo bench --locked --bench index --bench wire

load: ## Put load on a server and on an echo: rates as ratios, latencies, pushes; in target/load
	@scripts/setup build
	cargo run --release --locked --example load

overload: ## Put more load on the server than it can take: writes and sign-ins, on both databases
	@scripts/setup build
	@scripts/postgres run cargo bench --locked --bench overload

mutations: ## Put mutations on a server on PostgreSQL and the same statements on pgbench, in turns: rates as a ratio
	@benches/mutations

soak: ## Play random histories, lost streams, mutated bytes and kill -9 for a quarter of an hour; in target/soak
	@scripts/soak

mutate-presets: ## Change each line of the presets in turn, and list what no conformance test notices
	@scripts/mutate-presets

proto: ## Lint the protos and rewrite them in the canonical format
	@scripts/setup tools
	.tools/bin/buf lint proto
	.tools/bin/buf format proto -w

.PHONY: help run demo test lint bench load overload mutations soak mutate-presets proto
