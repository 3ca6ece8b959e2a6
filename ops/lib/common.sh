# shellcheck shell=bash
# What all scripts here share. Works with bash 3.2, the one that macOS has.

say() { printf '%s\n' "$*" >&2; }

die() {
    printf 'perch: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

is_debian() { have apt-get && have dpkg; }

is_macos() { [ "$(uname -s)" = Darwin ]; }

# The first line of a file; nothing when it does not exist.
first_line() { if [ -r "$1" ]; then head -n 1 "$1"; fi; }

# The name of the user who owns a file or folder.
owner_of() { # PATH
    # shellcheck disable=SC2012 # stat has other options on every system
    ls -ld "$1" | awk '{ print $3 }'
}

# The command line of a process; nothing when it is gone.
command_of() { # PID
    case $1 in '' | *[!0-9]*) return 0 ;; esac
    if [ -r "/proc/$1/cmdline" ]; then
        tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null || true
    elif have ps; then
        ps -p "$1" -o command= 2>/dev/null || true
    fi
}

# Whether the process is alive and its command line matches. A number in a file alone says nothing: after a reboot
# another process may have it.
process_is() { # PID REGEX
    command_of "$1" | grep -Eq -- "$2"
}

# A process that ended and that nobody has waited for yet still has its number.
is_alive() { # PID
    kill -0 "$1" 2>/dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

wait_for_end() { # PID SECONDS
    local tenths=$(($2 * 10))
    while is_alive "$1"; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1
    done
}

# Runs a command as another user; only root can. It starts in /, because the user may not be let into this folder.
as_user() { # USER COMMAND...
    local user=$1
    shift
    (
        cd /
        if have setpriv; then
            setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups -- "$@"
        elif have runuser; then
            runuser -u "$user" -- "$@"
        elif have sudo; then
            sudo -n -u "$user" -- "$@"
        else
            # shellcheck disable=SC2016 # the inner shell expands it
            su "$user" -s /bin/sh -c 'exec "$0" "$@"' -- "$@"
        fi
    )
}

# Runs a command as the owner of a folder, so that what it writes there stays with that user also when root runs it.
as_owner() { # FOLDER COMMAND...
    local owner
    owner=$(owner_of "$1")
    shift
    if [ "$owner" = "$(id -un)" ]; then
        "$@"
    else
        as_user "$owner" "$@"
    fi
}

port_is_free() { # PORT
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# A port on which nobody listens: the first free one of those wished for, or any. It lies below the ports that
# systems hand out to outgoing connections. Somebody can take it before it is used: whoever starts a server on it tries
# again with another.
free_port() { # [WISH]...
    local port
    for port in "$@"; do
        case $port in '' | *[!0-9]*) continue ;; esac
        if port_is_free "$port"; then
            echo "$port"
            return 0
        fi
    done
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if port_is_free "$port"; then
            echo "$port"
            return 0
        fi
    done
    die "no free port found between 20000 and 32000 on 127.0.0.1"
}
