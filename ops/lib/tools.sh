# shellcheck shell=bash
# Finds what Perch needs on this machine (a C compiler with make, Redis, PostgreSQL; for the tests PgBouncer and Python) and
# installs what is missing.

ops_lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The folders of redis-server, of the PostgreSQL programs and of pgbouncer, once they are found.
# shellcheck disable=SC2034 # for those who source this
redis_bin=
postgres_bin=
pgbouncer_bin=

homebrew_prefix() {
    local brew
    for brew in brew /opt/homebrew/bin/brew /usr/local/bin/brew; do
        if have "$brew"; then
            "$brew" --prefix
            return 0
        fi
    done
}

has_all() { # FOLDER PROGRAM...
    local dir=$1 program
    shift
    for program in "$@"; do [ -x "$dir/$program" ] || return 1; done
}

# Finds redis-server 6.2 or newer, the oldest that the engine's scripts run on.
find_redis() {
    local dir version prefix
    prefix=$(homebrew_prefix)
    for dir in "$(dirname "$(command -v redis-server || echo /usr/bin/none)")" /usr/bin /usr/local/bin \
        "${prefix:-/opt/homebrew}/bin" "${prefix:-/opt/homebrew}/opt/redis/bin"; do
        has_all "$dir" redis-server redis-cli || continue
        version=$("$dir/redis-server" --version | sed -n 's/.*v=\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
        # shellcheck disable=SC2086 # two numbers
        set -- ${version:-0 0}
        if [ "$1" -gt 6 ] || { [ "$1" -eq 6 ] && [ "$2" -ge 2 ]; }; then
            # shellcheck disable=SC2034 # as above
            redis_bin=$dir
            return 0
        fi
    done
    return 1
}

# Finds the newest PostgreSQL server from 14 on, or one of a given major version: no other opens the data of that one.
find_postgres() { # MAJOR|any
    local dir major best=13 prefix
    prefix=$(homebrew_prefix)
    postgres_bin=
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin \
        "${prefix:-/opt/homebrew}"/opt/postgresql*/bin /Applications/Postgres.app/Contents/Versions/*/bin \
        "$(dirname "$(command -v postgres || echo /usr/bin/none)")" /usr/bin; do
        has_all "$dir" postgres initdb pg_ctl psql || continue
        major=$("$dir/postgres" --version | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p')
        case $1 in any | "$major") ;; *) continue ;; esac
        if [ "${major:-0}" -gt "$best" ]; then
            best=$major
            postgres_bin=$dir
        fi
    done
    [ -n "$postgres_bin" ]
}

# Finds pgbouncer. Debian puts it where only root looks.
find_pgbouncer() {
    local dir prefix
    prefix=$(homebrew_prefix)
    for dir in "$(dirname "$(command -v pgbouncer || echo /usr/bin/none)")" /usr/sbin /usr/bin /usr/local/bin \
        "${prefix:-/opt/homebrew}/bin"; do
        has_all "$dir" pgbouncer || continue
        # shellcheck disable=SC2034 # as above
        pgbouncer_bin=$dir
        return 0
    done
    return 1
}

has_build_tools() {
    # On macOS, cc is always there and asks for the tools behind it when they are missing.
    if is_macos; then xcode-select -p >/dev/null 2>&1; else have make && { have cc || have gcc || have clang; }; fi
}

# Whether there is a Python of 3.10 or newer that can make environments of its own; Debian has that part in another package.
has_python() {
    have python3 && python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

# Sees to it that Schemathesis is in FOLDER, with the versions that schemathesis.txt names.
need_schemathesis() { # FOLDER
    local pins=$ops_lib/schemathesis.txt
    if cmp -s "$pins" "$1/installed"; then return 0; fi
    need_tools python
    say "Installing Schemathesis into $1 ..."
    rm -rf "$1"
    mkdir -p "$(dirname "$1")"
    if ! { python3 -m venv "$1" && "$1/bin/pip" install --quiet --disable-pip-version-check --no-input -r "$pins"; } >&2; then
        rm -rf "$1"
        die "Schemathesis cannot be installed; PyPI, or a mirror that pip is told of, must be reachable"
    fi
    cp "$pins" "$1/installed"
}

install_on_debian() { # PACKAGE...
    say "Installing ${*%%>=*} with apt-get ..."
    if is_root; then
        "$ops_lib/apt-install" "$@"
    elif have sudo; then
        sudo "$ops_lib/apt-install" "$@"
    else
        die "this needs root: run 'apt-get install ${*%%>=*}' as root, then this again"
    fi
}

install_on_macos() { # FORMULA...
    local prefix
    prefix=$(homebrew_prefix)
    [ -n "$prefix" ] || die "$* must be installed: get Homebrew from https://brew.sh, then run this again"
    is_root && die "$* must be installed, and Homebrew refuses root: run this as your own user"
    say "Installing $* with Homebrew ..."
    NONINTERACTIVE=1 "$prefix/bin/brew" install "$@" >&2 </dev/null
}

# Sees to it that what is named is there: any of cc, redis, postgres, pgbouncer, python.
need_tools() { # TOOL...
    local tool missing='' packages=()
    for tool in "$@"; do
        case $tool in
            cc) has_build_tools && continue ;;
            redis) find_redis && continue ;;
            postgres) find_postgres any && continue ;;
            pgbouncer) find_pgbouncer && continue ;;
            python) has_python && continue ;;
        esac
        missing="$missing $tool"
    done
    [ -n "$missing" ] || return 0
    for tool in $missing; do
        if is_debian; then
            case $tool in
                cc) packages+=('build-essential') ;;
                redis) packages+=('redis-server>=6.2') ;;
                postgres) packages+=('postgresql>=14') ;;
                pgbouncer) packages+=('pgbouncer') ;;
                python) packages+=('python3>=3.10' 'python3-venv') ;;
            esac
        elif is_macos; then
            case $tool in
                cc) die "a C compiler is missing: run 'xcode-select --install', then this again" ;;
                redis) packages+=('redis') ;;
                postgres) packages+=('postgresql@17') ;;
                pgbouncer) packages+=('pgbouncer') ;;
                python) packages+=('python') ;;
            esac
        else
            case $tool in
                cc) die "a C compiler or make is missing: install make, and gcc or clang, then run this again" ;;
                redis) die "redis-server 6.2 or newer is missing: install it, or set REDIS_URL, then run this again" ;;
                postgres) die "a PostgreSQL 14 or newer is missing: install it, or set DATABASE_URL, then run this again" ;;
                pgbouncer) die "pgbouncer is missing, which the tests need: install it, then run this again" ;;
                python) die "a Python 3.10 or newer with its venv module is missing: install it, then run this again" ;;
            esac
        fi
    done
    if is_debian; then install_on_debian "${packages[@]}"; else install_on_macos "${packages[@]}"; fi
    for tool in $missing; do
        case $tool in
            cc) has_build_tools || die "a C compiler or make is still missing after the installation" ;;
            redis) find_redis || die "redis-server 6.2 or newer is still missing after the installation" ;;
            postgres) find_postgres any || die "a PostgreSQL server 14 or newer is still missing after the installation" ;;
            pgbouncer) find_pgbouncer || die "pgbouncer is still missing after the installation" ;;
            python) has_python || die "a Python 3.10 or newer with its venv module is still missing after the installation" ;;
        esac
    done
}

need_cargo() {
    have cargo || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    have cargo || die "cargo is not installed. Get Rust from https://rustup.rs, open a new terminal, then run this again"
}
