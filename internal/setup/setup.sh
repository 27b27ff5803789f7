#!/usr/bin/env bash
# Installs what a make target needs and this machine lacks.
# usage: setup.sh run|test|interop|bench
set -euo pipefail

# What is needed, as "probe packages": the probe is one or more programs or
# files of which one must be there, divided by "|".
needs_run='
cc|gcc|clang gcc libc6-dev
pkg-config pkg-config
npm npm
node nodejs
'
needs_test="$needs_run"'
ffmpeg ffmpeg
srt-live-transmit srt-tools
chromium|chromium-browser|google-chrome chromium
/usr/sbin/nginx nginx
/usr/lib/nginx/modules/ngx_rtmp_module.so libnginx-mod-rtmp
srt-live-transmit srt-tools
'
needs_interop="$needs_test"'
obs obs-studio
Xvfb xvfb
xdotool xdotool
ip iproute2
mpv mpv
cvlc vlc-bin vlc-plugin-base
gst-launch-1.0 gstreamer1.0-tools
/usr/lib/*/gstreamer-1.0/libgsttypefindfunctions.so gstreamer1.0-plugins-base
/usr/lib/*/gstreamer-1.0/libgstisomp4.so gstreamer1.0-plugins-good
/usr/lib/*/gstreamer-1.0/libgstrtmp2.so gstreamer1.0-plugins-bad
/usr/lib/*/gstreamer-1.0/libgstsrt.so gstreamer1.0-plugins-bad
/usr/lib/*/gstreamer-1.0/libgstx264.so gstreamer1.0-plugins-ugly
/usr/lib/*/gstreamer-1.0/libgstlibav.so gstreamer1.0-libav
'
needs_bench="$needs_run"'
ffmpeg ffmpeg
/usr/sbin/nginx nginx
/usr/lib/nginx/modules/ngx_rtmp_module.so libnginx-mod-rtmp
wrk wrk
srt-live-transmit srt-tools
'

present() {
	local one
	for one in ${1//|/ }; do
		if [[ $one == /* ]]; then
			compgen -G "$one" >/dev/null && return
		else
			command -v "$one" >/dev/null && return
		fi
	done
	return 1
}

missing_packages() {
	local probe packages
	while read -r probe packages; do
		[[ -z $probe ]] || present "$probe" || echo "$packages"
	done
}

install_packages() {
	local as=()
	if ! command -v apt-get >/dev/null; then
		fail "this is no Debian or Ubuntu: please install what these packages hold: $*"
	fi
	if [[ $(id -u) != 0 ]]; then
		sudo -n true 2>/dev/null || fail "please run: sudo apt-get install --no-install-recommends $*"
		as=(sudo -n)
	fi
	echo "setup: installing $*"
	"${as[@]}" apt-get -q update || echo "setup: the package lists are not fresh; going on" >&2
	"${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@" ||
		fail "apt-get could not install: $*"
	# Tests and benchmarks run an nginx of their own; nobody asked for one on port 80.
	if [[ " $* " == *" nginx "* ]] && command -v systemctl >/dev/null; then
		"${as[@]}" systemctl disable --now nginx || true
	fi
}

# The bundler wants a newer Node.js than some releases of Debian have. The npm
# registry carries it as a package.
newer_node() {
	node -e 'const [a, b] = process.versions.node.split(".").map(Number)
		process.exit(a > 22 || a == 22 && b >= 12 || a == 20 && b >= 19 ? 0 : 1)' && return
	local arch dir=${XDG_CACHE_HOME:-$HOME/.cache}/sluice/node
	case $(uname -m) in
	x86_64) arch=x64 ;;
	aarch64) arch=arm64 ;;
	*) fail "please install Node.js 22 or later: $(node --version) is too old for the web site's bundler" ;;
	esac
	echo "setup: Node.js $(node --version) is too old for the web site's bundler: putting a newer one into $dir"
	npm install --no-fund --no-audit --prefix "$dir" "node-linux-$arch@22.23.3" npm@10.9.4
	mkdir -p "$dir/bin"
	ln -sf "../node_modules/node-linux-$arch/bin/node" ../node_modules/.bin/npm "$dir/bin/"
}

fail() {
	echo "setup: $*" >&2
	exit 1
}

case ${1-} in
run | test | interop | bench) needs=needs_$1 ;;
*) fail "usage: setup.sh run|test|interop|bench" ;;
esac
command -v go >/dev/null || fail "please install Go 1.26 or later"
mapfile -t packages < <(missing_packages <<<"${!needs}" | tr ' ' '\n')
[[ ${#packages[@]} == 0 ]] || install_packages "${packages[@]}"
newer_node
"${BASH_SOURCE%/*}/ffmpeg.sh"
[[ $1 != interop ]] || "${BASH_SOURCE%/*}/ffmpeg-program.sh"
