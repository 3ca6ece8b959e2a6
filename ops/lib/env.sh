# shellcheck shell=bash
# Variables from files. What is set in the environment already wins, and an empty value counts as not set.

# Sets and exports what a file of NAME=VALUE lines says. The file is not run as a script: a value may stand in quotes,
# and nothing in it is expanded.
load_env() { # FILE
    local line name value
    if [ ! -r "$1" ]; then return 0; fi
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line#"${line%%[![:space:]]*}"}
        line=${line#export }
        case $line in '' | '#'*) continue ;; *=*) ;; *) continue ;; esac
        name=${line%%=*}
        value=${line#*=}
        value=${value%"${value##*[![:space:]]}"}
        case $name in '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
        case $value in
            \"*\") value=${value#\"} value=${value%\"} ;;
            \'*\') value=${value#\'} value=${value%\'} ;;
        esac
        if [ -n "$value" ] && [ -z "${!name:-}" ]; then export "$name=$value"; fi
    done <"$1"
}

# A value of one of the configuration files, read without Perch: KEY = "text" under [SECTION], later files on top.
configured() { # SECTION KEY FILE...
    local section=$1 key=$2
    shift 2
    awk -v section="[$section]" -v key="$key" '
        /^\[/ { here = ($1 == section) }
        here && $1 == key && $2 == "=" { gsub(/"/, "", $3); value = $3 }
        END { print value }
    ' "$@"
}

# Where the sandbox of this run is for another process of this machine.
sandbox_url() { # CONFIGURATION_FILE...
    local address=${PERCH__SANDBOX__BIND:-$(configured sandbox bind "$@")}
    case ${address%:*} in
        0.0.0.0 | '[::]') echo "http://127.0.0.1:${address##*:}" ;;
        *) echo "http://$address" ;;
    esac
}

# Writes the connections of this run down, for ./ops/perch and for whoever wants to source them.
write_env() { # FILE
    local name value quote="'"
    (
        umask 077
        for name in APP_ENV REDIS_URL DATABASE_URL DATABASE_SESSION_URL PERCH__HTTP__BIND PERCH__SANDBOX__BIND PERCH__SANDBOX__URL; do
            value=${!name:-}
            # In a URL, %27 is the same as a quote, and it does not end the quoting.
            if [ -n "$value" ]; then printf "export %s='%s'\n" "$name" "${value//$quote/%27}"; fi
        done >"$1"
    )
}
