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
