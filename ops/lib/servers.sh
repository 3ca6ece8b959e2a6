# shellcheck shell=bash
# Private Redis and PostgreSQL servers: on 127.0.0.1 only, on free ports, with everything they write in one folder.
#
# A server is of one of two kinds. "lasting" keeps what it was told across kill -9 and reboot, "throwaway" is as fast as
# it can be. Its folder holds the port of the last start, and the next start takes the same one where it is free.

# shellcheck source=ops/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=ops/lib/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

# Redis has no password: it listens on the loopback only, and a Redis on which CONFIG cannot move files (7.0
# and later) gives away nothing but its own data.

redis_config() { # FOLDER KIND PORT
    local quoted=${1//\\/\\\\}
    quoted=${quoted//\"/\\\"}
    cat <<END
bind 127.0.0.1
port $3
protected-mode yes
daemonize yes
dir "$quoted"
pidfile "$quoted/redis.pid"
logfile "$quoted/redis.log"
maxmemory-policy noeviction
save ""
END
    if [ "$2" = lasting ]; then
        printf 'appendonly yes\nappendfsync everysec\n'
    else
        # Each test has a database of its own.
        printf 'appendonly no\ndatabases 1024\n'
    fi
}

# Whether the Redis of this folder runs and answers. It is asked for its folder, because somebody else's may have got
# the port.
redis_runs() { # FOLDER
    local port folder
    port=$(first_line "$1/port")
    [ -n "$port" ] && process_is "$(first_line "$1/redis.pid")" redis-server || return 1
    folder=$("$redis_bin/redis-cli" -h 127.0.0.1 -p "$port" --raw config get dir 2>/dev/null | sed -n 2p)
    [ "$folder" = "$(cd "$1" && pwd -P)" ]
}

# Waits until the Redis of this folder answers. While it loads its data it is alive and does not answer.
redis_wait() { # FOLDER
    local tries=0
    while ! redis_runs "$1"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 30 ] && ! process_is "$(first_line "$1/redis.pid")" redis-server; then return 1; fi
        [ "$tries" -lt 6000 ] || return 1
        sleep 0.1
    done
}

# Starts the Redis of this folder, unless it runs already. Its URL is then redis_url FOLDER.
redis_start() { # FOLDER KIND
    local dir port
    mkdir -p "$1"
    dir=$(cd "$1" && pwd -P)
    if redis_runs "$dir"; then return 0; fi
    for _ in 1 2 3 4 5; do
        port=$(free_port "$(first_line "$dir/port")")
        rm -f "$dir/redis.pid" "$dir/redis.log"
        echo "$port" >"$dir/port"
        (umask 077 && redis_config "$dir" "$2" "$port" >"$dir/redis.conf")
        # shellcheck disable=SC2016 # the inner shell expands it
        as_owner "$dir" sh -c 'umask 077 && exec "$0" "$1"' "$redis_bin/redis-server" "$dir/redis.conf" \
            >/dev/null 2>&1 || true
        if redis_wait "$dir"; then return 0; fi
        if ! grep -q 'already in use' "$dir/redis.log" 2>/dev/null; then break; fi
    done
    if [ -r "$dir/redis.log" ]; then tail -n 15 "$dir/redis.log" >&2; fi
    die "Redis does not start in $dir; its log is in $dir/redis.log"
}

redis_url() { echo "redis://127.0.0.1:$(first_line "$1/port")"; } # FOLDER

# Stops the Redis of this folder, if it runs. What it was told is on disk then.
redis_stop() { # FOLDER
    local pid
    pid=$(first_line "$1/redis.pid")
    if ! process_is "$pid" redis-server; then return 0; fi
    kill -TERM "$pid" 2>/dev/null || true
    wait_for_end "$pid" 60 || say "Redis (process $pid) does not stop"
}

# PostgreSQL asks for a password also on the loopback: every user of this machine can connect to it, and its
# superuser may run programs. The password is generated and kept in a file that only the owner can read.

# The user that runs PostgreSQL, which refuses root.
postgres_user() {
    local user
    for user in postgres perch-postgres; do
        if id "$user" >/dev/null 2>&1; then
            echo "$user"
            return 0
        fi
    done
    have useradd || die "PostgreSQL refuses to run as root, and there is no user for it: create one named postgres"
    useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin perch-postgres
    echo perch-postgres
}

# Makes FOLDER a place where PostgreSQL can work. For root that means: owned by another user, who must also be let into
# all folders above it. Where that is not so (a clone in root's home), the folder is a link to one under /var/lib/perch.
postgres_place() { # FOLDER
    local user real
    if [ -d "$1" ]; then return 0; fi
    if [ -L "$1" ]; then
        die "the data of PostgreSQL, $(readlink "$1"), is gone; remove $1 to begin with an empty database"
    fi
    mkdir -p "$1"
    chmod 700 "$1"
    if ! is_root; then return 0; fi
    user=$(postgres_user)
    chown "$user" "$1"
    if as_user "$user" test -w "$1"; then return 0; fi
    rmdir "$1"
    mkdir -p /var/lib/perch
    chmod 711 /var/lib/perch
    real=$(mktemp -d /var/lib/perch/postgres.XXXXXXXX)
    chown "$user" "$real"
    ln -s "$real" "$1"
}

# Creates the data in FOLDER/data, whole or not at all.
postgres_create() { # FOLDER KIND PASSWORD
    local auth=scram-sha-256 locale=C sync=()
    # A test connects hundreds of times, and the proof of a SCRAM password is slow in a debug build on purpose.
    if [ "$2" = throwaway ]; then auth=password sync=(--no-sync); fi
    if have locale && locale -a 2>/dev/null | grep -Eqi '^C\.utf-?8$'; then locale=C.UTF-8; fi
    rm -rf "$1/new"
    (umask 077 && printf '%s\n' "$3" >"$1/password")
    chown "$(owner_of "$1")" "$1/password"
    if ! as_owner "$1" env LC_ALL=C "$postgres_bin/initdb" -D "$1/new" -U postgres --pwfile="$1/password" \
        --auth-local="$auth" --auth-host="$auth" --encoding=UTF8 --locale="$locale" \
        ${sync[@]+"${sync[@]}"} >"$1/initdb.log" 2>&1; then
        tail -n 15 "$1/initdb.log" >&2
        rm -rf "$1/new" "$1/password"
        die "initdb cannot create a database in $1"
    fi
    rm -f "$1/password" "$1/initdb.log"
    mv "$1/new" "$1/data"
}

# Whether the PostgreSQL of this folder runs.
postgres_runs() { # FOLDER
    command_of "$(first_line "$1/data/postmaster.pid")" | grep -Fq -- "-D $1/data "
}

# Starts the PostgreSQL of this folder, unless it runs already. postgres_url tells its URL then.
postgres_start() { # FOLDER KIND
    local dir port pid password options major
    postgres_place "$1"
    dir=$(cd "$1" && pwd -P)
    if [ -e "$dir/data/PG_VERSION" ]; then
        major=$(first_line "$dir/data/PG_VERSION")
        find_postgres "$major" ||
            die "the data in $dir/data needs PostgreSQL $major, which is missing: install it, or move the data away"
        [ -r "$1.password" ] ||
            die "the password of the data in $dir, $1.password, is gone: put it back, or move the data away"
    else
        password=$(od -An -N 24 -t x1 /dev/urandom | tr -d ' \n')
        (umask 077 && printf '%s\n' "$password" >"$1.password")
        postgres_create "$dir" "$2" "$password"
    fi
    if postgres_runs "$dir"; then return 0; fi
    options="-c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
    if [ "$2" = throwaway ]; then
        # What a test is answered is not to survive a crash of the machine; a crash of the server it does survive.
        # A test that ends while it logs in holds up whoever drops a database, until the login is given up.
        options="$options -c fsync=off -c max_connections=400 -c authentication_timeout=5s"
    fi
    for _ in 1 2 3 4 5; do
        port=$(free_port "$(first_line "$1.port")")
        echo "$port" >"$1.port"
        rm -f "$dir/postgres.log"
        # After a reboot another process may have the number in this file, and PostgreSQL would not start.
        pid=$(first_line "$dir/data/postmaster.pid")
        if [ -n "$(command_of "$pid")" ] && ! process_is "$pid" postgres; then rm -f "$dir/data/postmaster.pid"; fi
        if as_owner "$dir" env LC_ALL=C "$postgres_bin/pg_ctl" -D "$dir/data" -l "$dir/postgres.log" -w -t 120 \
            -o "-p $port $options" start >/dev/null 2>&1 </dev/null; then
            postgres_database "$1" "$2"
            return 0
        fi
        # The processes of a killed server take a moment to notice and end.
        if ! grep -Eq 'Address already in use|still in use|lock file' "$dir/postgres.log" 2>/dev/null; then break; fi
        sleep 1
    done
    if [ -r "$dir/postgres.log" ]; then tail -n 15 "$dir/postgres.log" >&2; fi
    die "PostgreSQL does not start in $dir; its log is in $dir/postgres.log"
}

# Asks the server as its superuser.
postgres_ask() { # FOLDER SQL
    PGPASSWORD=$(first_line "$1.password") PGOPTIONS='' PGSSLMODE=disable \
        "$postgres_bin/psql" -X -w -q -t -A -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(first_line "$1.port")" \
        -U postgres -d postgres -c "$2"
}

# Perch is an ordinary user of its database, as in production. The tests are superuser: they create databases.
postgres_database() { # FOLDER KIND
    if [ "$2" = throwaway ]; then return 0; fi
    if [ -z "$(postgres_ask "$1" "SELECT 1 FROM pg_roles WHERE rolname = 'perch'")" ]; then
        postgres_ask "$1" "CREATE ROLE perch LOGIN PASSWORD '$(first_line "$1.password")'"
    fi
    if [ -z "$(postgres_ask "$1" "SELECT 1 FROM pg_database WHERE datname = 'perch'")" ]; then
        postgres_ask "$1" "CREATE DATABASE perch OWNER perch"
    fi
}

postgres_url() { # FOLDER KIND
    local who=perch
    if [ "$2" = throwaway ]; then who=postgres; fi
    echo "postgres://$who:$(first_line "$1.password")@127.0.0.1:$(first_line "$1.port")/$who"
}

# Stops the PostgreSQL of this folder, if it runs.
postgres_stop() { # FOLDER
    local dir pid
    if [ ! -d "$1" ]; then return 0; fi
    dir=$(cd "$1" && pwd -P)
    if ! postgres_runs "$dir"; then return 0; fi
    pid=$(first_line "$dir/data/postmaster.pid")
    as_owner "$dir" env LC_ALL=C "$postgres_bin/pg_ctl" -D "$dir/data" -m fast -w -t 60 stop >/dev/null 2>&1 || true
    wait_for_end "$pid" 5 || say "PostgreSQL (process $pid) does not stop"
}

# Removes the folder of a stopped PostgreSQL, wherever it really is.
postgres_remove() { # FOLDER
    if [ -L "$1" ]; then rm -rf "$(readlink "$1")"; fi
    rm -rf "$1" "$1.port" "$1.password"
}
