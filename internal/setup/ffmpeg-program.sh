#!/usr/bin/env bash
# Makes the programs ffmpeg and ffprobe of FFmpeg 7.1 for the slow matrix of
# real clients: a peer that speaks Enhanced RTMP, which older ones do not.
# They copy only: no codec is built in but VP9, whose decoder alone tells the size. $cache/ffmpeg-program/bin is where they
# are. The system's are taken if they are 7.1 or later.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice
. "${BASH_SOURCE%/*}/ffmpeg-source.sh"

options=(
	--disable-everything --disable-autodetect --disable-doc --disable-debug --disable-x86asm --disable-ffplay
	--disable-swscale --disable-swresample --enable-small
	--enable-protocol=file,pipe,rtmp,tcp
	--enable-demuxer=flv,live_flv,mov,matroska,ogg --enable-muxer=flv,mp4,matroska,null,framecrc --enable-decoder=vp9
	--enable-parser=h264,hevc,av1,vp9,aac,opus
	--enable-bsf=extract_extradata,h264_mp4toannexb,hevc_mp4toannexb,aac_adtstoasc,vp9_superframe,av1_frame_merge,null
)

version() { "$1" -hide_banner -version 2>/dev/null | sed -n 's/^ff[a-z]* version \([0-9]*\)\.\([0-9]*\).*/\1\2/p'; }

link() {
	rm -rf "$cache/ffmpeg-program"
	mkdir -p "$cache/ffmpeg-program/bin"
	ln -s "$1/ffmpeg" "$1/ffprobe" "$cache/ffmpeg-program/bin/"
}

system=$(command -v ffmpeg || true)
if [[ -n $system && $(version "$system") -ge 71 ]]; then
	link "${system%/*}"
	exit
fi
target=$cache/ffmpeg-program-7.1-$(printf '%s\n' "$suite" "${FFMPEG_SOURCE-}" "${options[@]}" | sha256sum | cut -c -12)
mkdir -p "$cache"
exec 9>"$cache/ffmpeg-program.lock"
flock 9 # another make may be building it
if [[ ! -x $target/bin/ffprobe ]]; then
	echo "setup: building the program ffmpeg 7.1 into $target (about a minute of CPU, once)"
	work=$(mktemp -d "$cache/ffmpeg-build.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	command -v make >/dev/null || install_packages make
	get_source "$work"
	(
		cd "$work/source"
		./configure --prefix="$target" "${options[@]}" >"$work/log" 2>&1 ||
			{ tail -20 "$work/log" ffbuild/config.log >&2; fail "FFmpeg's configure failed"; }
		make -j"$(nproc)" ffmpeg ffprobe >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; fail "FFmpeg did not compile"; }
	)
	mkdir -p "$target/bin"
	cp "$work/source/ffmpeg" "$work/source/ffprobe" "$target/bin/"
fi
link "$target/bin"
