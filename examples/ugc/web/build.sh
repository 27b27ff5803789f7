#!/bin/sh
# Builds the web site into static/dist, from where the Go package embeds it.
# Does nothing, at once, when the result is newer than every source.
set -eu
cd "$(dirname "$0")"

if ! command -v npm >/dev/null 2>&1; then
	echo "web: npm is not installed: install Node.js 20.19 or later (Debian and Ubuntu: apt-get install nodejs npm)" >&2
	exit 1
fi

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
	npm ci --no-audit --no-fund
	touch node_modules/.package-lock.json
fi

stamp=static/dist/index.html
if [ -e "$stamp" ] && [ -z "$(find index.html watch.html creator.html 404.html src public scripts vite.config.js package-lock.json -newer "$stamp" -print -quit)" ]; then
	exit 0
fi
npm run --silent build
touch "$stamp"
