#!/bin/sh
# Make sure that the libraries Qt needs on a Linux machine without a desktop are there:
# installed with apt-get when run as root, named otherwise.
set -eu

packages="xvfb libegl1 libgl1 libopengl0 libxkbcommon-x11-0 libdbus-1-3 libxcb-cursor0 \
libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 \
libxcb-xinerama0"

[ "$(uname -s)" = Linux ] || exit 0
command -v dpkg-query >/dev/null 2>&1 || {
    echo "Not a Debian-like system: make sure that Xvfb and Qt's xcb libraries are installed."
    exit 0
}

missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
else
    echo "The tests of the window need system libraries that are missing. Install them with:" >&2
    echo "  sudo apt-get install$missing" >&2
    exit 1
fi
