# What the scripts share that build FFmpeg 7.1: to be sourced.

suite=trixie # the release of Debian that carries 7.1

fail() {
	echo "setup: $*" >&2
	exit 1
}

as_root() {
	if [[ $(id -u) == 0 ]]; then
		"$@"
	elif sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		fail "please run: sudo $*"
	fi
}

install_packages() {
	echo "setup: installing $*"
	[[ -n ${updated-} ]] || as_root apt-get -q update || echo "setup: the package lists are not fresh; going on" >&2
	updated=yes
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@" ||
		fail "apt-get could not install: $*"
}

# apt's sources of this machine's release, with another release in its place;
# apt knows the mirror and checks the signatures with Debian's keys.
private_apt() {
	local root=$1 codename
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	[[ -r /usr/share/keyrings/debian-archive-keyring.gpg && -n $codename ]] ||
		fail "no Debian to take FFmpeg 7.1's source from: please set FFMPEG_SOURCE to a folder with it"
	mkdir -p "$root"/{lists,cache}/partial "$root/parts"
	apt-get indextargets --format '$(RELEASE) $(REPO_URI) $(COMPONENT)' 'Created-By: Packages' |
		awk -v old="$codename" -v new="$suite" '$3 == "main" && sub("^" old, new, $1) {
			print "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " $2 " " $1 " main" }' |
		sort -u >"$root/sources.list"
	[[ -s $root/sources.list ]] ||
		fail "apt has no sources of $codename to take the mirror from: please set FFMPEG_SOURCE to a folder with FFmpeg 7.1's source"
	apt=(apt-get -q -o Dir::Etc::SourceList="$root/sources.list" -o Dir::Etc::SourceParts="$root/parts"
		-o Dir::State::Lists="$root/lists" -o Dir::Cache="$root/cache"
		-o APT::Sandbox::User= -o APT::Get::AllowUnauthenticated=false)
	"${apt[@]}" update
}

# get_source DIR puts FFmpeg's source tree at DIR/source.
get_source() {
	if [[ -n ${FFMPEG_SOURCE-} ]]; then
		[[ -x $FFMPEG_SOURCE/configure ]] || fail "FFMPEG_SOURCE=$FFMPEG_SOURCE holds no FFmpeg: there is no configure in it"
		cp -a "$FFMPEG_SOURCE" "$1/source"
	else
		command -v dpkg-source >/dev/null || install_packages dpkg-dev xz-utils
		private_apt "$1/apt"
		(cd "$1" && "${apt[@]}" source --download-only ffmpeg)
		dpkg-source --no-check --extract "$1"/ffmpeg_*.dsc "$1/source" # apt has checked it
	fi
	[[ $(cat "$1/source/RELEASE") == 7.1* ]] || fail "the source is FFmpeg $(cat "$1/source/RELEASE"), not 7.1"
}
