#!/usr/bin/env bash
# Makes FFmpeg 7's libraries available to cgo through pkg-config: the system's
# if they are libavcodec 61, else the distribution's packages if they are, else
# a trimmed FFmpeg 7.1 of our own, built once into the user's cache and linked
# as $cache/ffmpeg, where the Makefile points PKG_CONFIG_PATH at.
# FFMPEG_SOURCE=dir takes FFmpeg 7.1's source from there, and not from Debian.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice
libraries=(libavcodec libavdevice libavfilter libavformat libavutil libswresample libswscale)
. "${BASH_SOURCE%/*}/ffmpeg-source.sh"

list() { tr -s ' \n' ',' | sed 's/^,//; s/,$//'; }

decoders=$(list <<<'h264 hevc av1 vp8 vp9 mpeg2video mpeg1video mpeg4 mjpeg png
	aac aac_latm opus mp3 mp3float mp2 mp2float ac3 eac3 pcm_alaw pcm_mulaw pcm_s16le')
encoders=$(list <<<'aac mjpeg png
	h264_nvenc hevc_nvenc av1_nvenc h264_vaapi hevc_vaapi av1_vaapi')
filters=$(list <<<'buffer buffersink abuffer abuffersink null anull format aformat
	scale crop pad overlay fps setsar setpts settb split yadif bwdif idet transpose rotate hflip vflip
	drawtext colorchannelmixer tile color testsrc2 sine anullsrc
	aresample volume loudnorm pan asetpts asplit atrim')
parsers=$(list <<<'h264 hevc av1 vp8 vp9 mpegvideo mpeg4video aac aac_latm opus mpegaudio ac3 mjpeg png')
bitstream=$(list <<<'extract_extradata h264_mp4toannexb hevc_mp4toannexb h264_metadata hevc_metadata aac_adtstoasc')

options=(
	--disable-everything --disable-autodetect --disable-programs --disable-doc --disable-network --disable-debug
	--enable-static --disable-shared --enable-pic --enable-pthreads
	--enable-decoder="$decoders" --enable-encoder="$encoders" --enable-filter="$filters"
	--enable-parser="$parsers" --enable-bsf="$bitstream"
	--enable-gpl --enable-libx264 --enable-encoder=libx264
	--enable-libopus --enable-encoder=libopus --enable-decoder=libopus
	--enable-zlib --enable-libfreetype --enable-libharfbuzz
)

# What is used where its headers are there: "module options…".
optional='
x265 --enable-libx265 --enable-encoder=libx265
dav1d --enable-libdav1d --enable-decoder=libdav1d
SvtAv1Enc --enable-libsvtav1 --enable-encoder=libsvtav1
fribidi --enable-libfribidi
ffnvcodec --enable-ffnvcodec --enable-nvenc --enable-nvdec --enable-cuvid --enable-hwaccel=h264_nvdec,hevc_nvdec,av1_nvdec,vp9_nvdec
libva --enable-vaapi --enable-filter=scale_vaapi,hwupload,hwdownload --enable-hwaccel=h264_vaapi,hevc_vaapi,av1_vaapi,vp9_vaapi
'

has() { PKG_CONFIG_PATH=${1-} pkg-config --exists 'libavcodec >= 61' 'libavcodec < 62' "${libraries[@]}" 2>/dev/null; }

build() {
	echo "setup: building FFmpeg 7.1 into $target (about 5 minutes of CPU, once)"
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/ffmpeg-build.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	get_source "$work"
	(
		cd "$work/source"
		./configure --prefix="$target" "${all[@]}" >"$work/log" 2>&1 ||
			{ tail -20 "$work/log" ffbuild/config.log >&2; fail "FFmpeg's configure failed"; }
		make -j"$(nproc)" >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; fail "FFmpeg did not compile"; }
		make install DESTDIR="$work/root" >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; fail "FFmpeg's make install failed"; }
	)
	rm -rf "$target"
	mv "$work/root$target" "$target"
}

# What the options come to on this machine names the build.
target() {
	local module flags
	all=("${options[@]}")
	while read -r module flags; do
		[[ -z $module ]] || ! pkg-config --exists "$module" || all+=($flags)
	done <<<"$optional"
	target=$cache/ffmpeg-7.1-$(printf '%s\n' "$suite" "${FFMPEG_SOURCE-}" "${all[@]}" | sha256sum | cut -c -12)
}

current() { [[ $(readlink "$cache/ffmpeg") == "$target" ]] && has "$target/lib/pkgconfig"; }

if ! command -v pkg-config >/dev/null; then
	command -v apt-get >/dev/null || fail "please install pkg-config"
	install_packages pkg-config
fi
# What is found in the cache is not the system's.
own=$(tr : '\n' <<<"${PKG_CONFIG_PATH-}" | grep -vF "$cache/" | paste -sd :) || true
if has "$own"; then
	rm -f "$cache/ffmpeg"
	exit
fi
needed=(x264 opus freetype2 harfbuzz zlib)
pkg-config --exists "${needed[@]}" && target && current && exit

if command -v apt-get >/dev/null &&
	apt-cache policy libavcodec-dev | grep -q 'Candidate: [0-9]*:7\.'; then
	install_packages "${libraries[@]/%/-dev}"
	has && rm -f "$cache/ffmpeg" && exit
fi
if ! pkg-config --exists "${needed[@]}" || ! command -v nasm >/dev/null || ! command -v make >/dev/null; then
	command -v apt-get >/dev/null ||
		fail "please install FFmpeg 7's libraries, or nasm and the headers of x264, opus, freetype, harfbuzz and zlib to build them"
	install_packages nasm make libx264-dev libopus-dev libfreetype-dev libharfbuzz-dev zlib1g-dev
	for package in libx265-dev libdav1d-dev libsvtav1enc-dev libfribidi-dev; do
		(install_packages "$package") || echo "setup: going on without $package" >&2
	done
fi
target
mkdir -p "$cache"
exec 9>"$cache/ffmpeg.lock"
flock 9 # another make may be building it
has "$target/lib/pkgconfig" || build
ln -sfn "$target" "$cache/ffmpeg"
