# What each target does is said by `make help`; what it needs is installed by scripts/tools.sh.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/s3-audit-tools
export PATH := $(CACHE)/bin:$(PATH)
TARGET := $(or $(CARGO_TARGET_DIR),target)
FUZZ_TARGETS := log_file minio_body read invocation
YAML := template.yaml .yamllint .checkov.yaml $(wildcard deploy/*.yaml deploy/*.yml)
SCRIPTS := .ci/run $(wildcard scripts/*.sh deploy/*.sh)

say = @printf '\n== %s\n' "$(1)"

.PHONY: help demo test soak fuzz bench package package-check deploy check fmt
.PHONY: check-fmt check-clippy check-docs check-shell check-yaml check-template check-compose

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: ## The whole pipeline once on sample logs, and on real downloads where MinIO is; prints what was delivered
	@scripts/tools.sh demo
	$(call say,building)
	@cargo build --workspace --bins
	$(call say,running the pipeline on the sample logs)
	@cargo run --quiet -p e2e --bin demo

test: ## Installs what the tests need, then runs all of them
	@scripts/tools.sh test
	$(call say,building the binaries that the tests start)
	@cargo build --workspace --bins
	$(call say,running all tests)
	@cargo test --workspace --no-fail-fast

soak: ## The long fault suite: SOAK_MINUTES (60) of random faults
	@scripts/tools.sh test
	$(call say,building the binaries that the tests start)
	@cargo build --workspace --bins
	$(call say,running the long fault suite)
	@SOAK_MINUTES=$${SOAK_MINUTES:-60} cargo test --workspace --test faults -- --ignored --nocapture soak

fuzz: ## Any bytes through what reads them: FUZZ_SECONDS (60) for each target
	@scripts/tools.sh fuzz
	@$(foreach target,$(FUZZ_TARGETS),$(MAKE) fuzz-$(target) && ) true

# What is found new is kept in fuzz/corpus; the sanitizer needs a switch of the compiler that is not stable.
fuzz-%:
	$(call say,fuzzing $*)
	@mkdir -p fuzz/corpus/$*
	@RUSTC_BOOTSTRAP=1 cargo fuzz run $* fuzz/corpus/$* fuzz/seeds/$* -- \
		-max_total_time=$${FUZZ_SECONDS:-60} -timeout=20 -max_len=4096 -dict=fuzz/words.dict -print_final_stats=1

bench: ## The benchmarks, as ratios against a baseline in the same run
	@scripts/tools.sh bench
	$(call say,building the binaries that are measured)
	@cargo build --release --workspace --bins
	$(call say,measuring)
	@cargo run --release -p e2e --bin bench

package: ## bootstrap.zip of both functions, by cargo-lambda; ARCH=arm64 or x86_64 (default: this machine's)
	@scripts/tools.sh package
	$(call say,packaging lambda-cloudtrail and lambda-minio-http)
	@scripts/package.sh $(ARCH)

package-check: ## Builds the packages in two folders and compares them: the same commit gives the same zip
	@scripts/tools.sh package
	@scripts/package-check.sh $(ARCH)

deploy: ## make package, then sam deploy by samconfig.toml; ENV= names another section of it
	@scripts/tools.sh deploy
	@scripts/deploy.sh $(ENV)

fmt: ## Formats the code
	@cargo fmt --all

check: ## Formatting, lints, docs, scripts, YAML, template and compose file
	@scripts/tools.sh check
	@$(MAKE) check-fmt check-shell check-yaml check-template check-compose check-clippy check-docs

check-fmt:
	$(call say,formatting)
	@cargo fmt --all -- --check

check-clippy:
	$(call say,clippy)
	@cargo clippy --workspace --all-targets -- -D warnings

check-docs:
	$(call say,documentation)
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

check-shell:
	$(call say,shell scripts)
	@shellcheck $(SCRIPTS)

check-yaml:
	$(call say,YAML)
	@yamllint --strict $(YAML)

check-template:
	$(call say,SAM template)
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-central-1 sam validate --lint --template template.yaml
	@cfn-lint --template template.yaml
	@PYTHONDONTWRITEBYTECODE=1 $(CACHE)/venv/sam/bin/python -m unittest discover --start-directory tests/template
	@checkov --config-file .checkov.yaml --file template.yaml
	@mkdir -p $(TARGET)
	@PYTHONDONTWRITEBYTECODE=1 $(CACHE)/venv/sam/bin/python tests/template/render.py >$(TARGET)/template.rendered.json
	@checkov --config-file .checkov.yaml --file $(TARGET)/template.rendered.json

check-compose:
	$(call say,compose file)
	@if [ -f deploy/compose.yaml ]; then check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml; \
	else echo "no deploy/compose.yaml"; fi
