#!/bin/sh
# Installs, from Debian packages, the servers and tools that the tests talk to. Does nothing when all are there,
# never leaves a system service running, and says in one line what is missing when it may not install.
set -eu

missing=""
need() { # package, what proves that it is there
    case $2 in
        /*) [ -e "$2" ] || missing="$missing $1" ;;
        *) command -v "$2" >/dev/null 2>&1 || missing="$missing $1" ;;
    esac
}
need curl curl
need redis-server redis-server
need faketime faketime
need mbpoll mbpoll
need gcc gcc
need libc6-dev /usr/include/stdlib.h
need libmodbus-dev /usr/include/modbus/modbus.h
need tshark tshark
need mariadb-server mariadbd
need chromium chromium
found=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | tail -1) # a folder for each release
need postgresql "${found:-postgres}"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "the tests need these packages:$missing (Debian and Ubuntu: sudo apt-get install$missing)" >&2
    exit 1
fi

# Debian's own switch: packages ask it before they start a service.
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
if [ -e "$policy" ]; then mv "$policy" "$policy.pydatacoll"; fi
restore() {
    rm -f "$policy" "$log"
    if [ -e "$policy.pydatacoll" ]; then mv "$policy.pydatacoll" "$policy"; fi
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of package names
if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    echo "the tests need these packages:$missing; apt-get failed: $(grep -E '^(E|Err)' "$log" | tail -1)" >&2
    exit 1
fi
case $missing in
    *redis-server*)
        # nor at the next boot
        if [ -d /run/systemd/system ]; then systemctl -q disable redis-server.service || true; fi
        ;;
esac
case $missing in
    *mariadb-server*)
        if [ -d /run/systemd/system ]; then systemctl -q disable mariadb.service || true; fi
        ;;
esac
case $missing in
    *postgresql*)
        if [ -d /run/systemd/system ]; then systemctl -q disable postgresql.service || true; fi
        ;;
esac
