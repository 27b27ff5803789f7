#!/usr/bin/env bash
# Runs every fuzz target for a while: fuzz.sh TIME [PACKAGES…]
set -euo pipefail

time=$1
shift
for package in $(go list "${@:-./...}"); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
	done
done
