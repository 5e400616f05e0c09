# Shared by the scripts in this folder, which source it. Changes to the project's folder.
# shellcheck shell=sh
# POSIX sh: only make, a shell and a Python can be assumed.

cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
venv=$root/.venv

say() { printf '%s\n' "$*" >&2; }

die() {
    printf 'Error: %s\n' "$*" >&2
    exit 1
}

# absolute PATH: prints the absolute path. A URI (s3a://bucket, file:/x) stays as it is.
absolute() {
    if is_uri "$1"; then
        printf '%s\n' "$1"
        return
    fi
    case $1 in
        \~) printf '%s\n' "$HOME" ;;
        \~/*) printf '%s\n' "$HOME/${1#??}" ;;
        /*) printf '%s\n' "$1" ;;
        *)
            if [ -d "$1" ]; then
                (cd -- "$1" && pwd)
            elif [ -d "$(dirname -- "$1")" ]; then
                printf '%s/%s\n' "$(cd -- "$(dirname -- "$1")" && pwd)" "$(basename -- "$1")"
            else
                printf '%s\n' "$root/$1"
            fi
            ;;
    esac
}

# is_uri TEXT: whether it begins with a scheme and ":/", as vision_assets/uris.py sees it.
is_uri() {
    case $1 in
        [A-Za-z]*:/*) ;;
        *) return 1 ;;
    esac
    case ${1%%:/*} in
        *[!A-Za-z0-9+.-]*) return 1 ;;
    esac
}

# --- Java ---------------------------------------------------------------------------------------------

# java_home_of COMMAND: prints the home of that java if it is 17 or newer, else nothing.
java_home_of() {
    "$1" -XshowSettings:properties -version 2>&1 | awk -F' = ' '
        $1 ~ /^ *java\.home$/ { home = $2 }
        $1 ~ /^ *java\.specification\.version$/ { version = $2 }
        END { if (home != "" && version + 0 >= 17) print home }'
}

# find_java: prints the home of a Java 17 or newer: from JAVA_HOME, PATH or the usual places.
find_java() {
    if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then
        home=$(java_home_of "$JAVA_HOME/bin/java")
        # Print it as the user wrote it, not as java resolves it.
        if [ -n "$home" ]; then
            printf '%s\n' "$JAVA_HOME"
            return
        fi
    fi
    if command -v java >/dev/null 2>&1; then
        home=$(java_home_of java)
        if [ -n "$home" ]; then
            printf '%s\n' "$home"
            return
        fi
    fi
    if [ -x /usr/libexec/java_home ]; then
        home=$(/usr/libexec/java_home -v 17+ 2>/dev/null) && [ -x "$home/bin/java" ] && {
            printf '%s\n' "$home"
            return
        }
    fi
    # The versions that Spark is tested with come first.
    for version in 17 21 25 ""; do
        for place in /usr/lib/jvm/*"$version"* /usr/java/*"$version"* /opt/*jdk*"$version"* \
            "$HOME"/.sdkman/candidates/java/*"$version"* "$HOME"/.jdks/*"$version"* \
            /Library/Java/JavaVirtualMachines/*"$version"*/Contents/Home \
            /opt/homebrew/opt/openjdk*"$version"*/libexec/openjdk.jdk/Contents/Home \
            /usr/local/opt/openjdk*"$version"*/libexec/openjdk.jdk/Contents/Home \
            /home/linuxbrew/.linuxbrew/opt/openjdk*"$version"*/libexec; do
            if [ -x "$place/bin/java" ]; then
                home=$(java_home_of "$place/bin/java")
                if [ -n "$home" ]; then
                    printf '%s\n' "$home"
                    return
                fi
            fi
        done
    done
}

# use_java: exports JAVA_HOME. The result is cached in .venv, because asking a java takes a while.
use_java() {
    if [ -r "$venv/.java" ]; then
        {
            read -r asked
            read -r found
        } <"$venv/.java"
        if [ "$asked" = "JAVA_HOME=${JAVA_HOME:-}" ] && [ -x "$found/bin/java" ]; then
            JAVA_HOME=$found
            export JAVA_HOME
            return 0
        fi
    fi
    found=$(find_java)
    [ -n "$found" ] || return 1
    printf '%s\n%s\n' "JAVA_HOME=${JAVA_HOME:-}" "$found" >"$venv/.java"
    JAVA_HOME=$found
    export JAVA_HOME
}

# --- Environment ------------------------------------------------------------------------------------------

use_environment() {
    VISION_ASSETS_DATA=$(absolute "${VISION_ASSETS_DATA:-data}")
    PYSPARK_PYTHON=$venv/bin/python
    PYSPARK_DRIVER_PYTHON=$venv/bin/python
    DAGSTER_DISABLE_TELEMETRY=1
    PATH=$venv/bin:$PATH
    export VISION_ASSETS_DATA PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON DAGSTER_DISABLE_TELEMETRY PATH
    # A foreign Spark or Python would not match the locked versions.
    unset SPARK_HOME PYTHONHOME
    use_java || die "Java 17 or newer is needed: set JAVA_HOME, then run make again."
}

# use_dagster_home: exports DAGSTER_HOME, where the history of runs is: the user's, or one in the project's folder.
use_dagster_home() {
    if [ -n "${DAGSTER_HOME:-}" ]; then
        DAGSTER_HOME=$(absolute "$DAGSTER_HOME")
        mkdir -p "$DAGSTER_HOME" || die "DAGSTER_HOME: the folder $DAGSTER_HOME cannot be created."
        [ -e "$DAGSTER_HOME/dagster.yaml" ] || cp dagster.yaml "$DAGSTER_HOME/dagster.yaml" || exit 1
    else
        DAGSTER_HOME=$root/.dagster_home
        mkdir -p "$DAGSTER_HOME" || die "The folder $DAGSTER_HOME cannot be created."
        if [ ! -e "$DAGSTER_HOME/dagster.yaml" ]; then
            ln -sf ../dagster.yaml "$DAGSTER_HOME/dagster.yaml" 2>/dev/null ||
                cp dagster.yaml "$DAGSTER_HOME/dagster.yaml" || exit 1
        fi
    fi
    # Without this file, Dagster's page begins with an invitation that covers it. dagster.yaml may be the user's own.
    { mkdir -p "$DAGSTER_HOME/.nux" && : >>"$DAGSTER_HOME/.nux/nux.yaml"; } 2>/dev/null || :
    # Silences the deprecation notice that Dagster's commands print at every start.
    PYTHONWARNINGS=${PYTHONWARNINGS:+$PYTHONWARNINGS,}ignore::FutureWarning
    export DAGSTER_HOME PYTHONWARNINGS
}

# check_source: exports VISION_ASSETS_SOURCE if the user set SOURCE=... or that variable, and checks that it exists.
check_source() {
    named=SOURCE
    if [ -z "${SOURCE_AS_GIVEN:-}" ]; then
        named=VISION_ASSETS_SOURCE
        SOURCE_AS_GIVEN=${VISION_ASSETS_SOURCE:-}
    fi
    [ -n "$SOURCE_AS_GIVEN" ] || return 0
    VISION_ASSETS_SOURCE=$(absolute "$SOURCE_AS_GIVEN")
    export VISION_ASSETS_SOURCE
    if ! is_uri "$VISION_ASSETS_SOURCE" && [ ! -e "$VISION_ASSETS_SOURCE" ]; then
        die "$named: $VISION_ASSETS_SOURCE does not exist. Name a folder, an archive or a URI."
    fi
}

# project_file: prints the path of the project file, as vision_assets/settings.py chooses it.
project_file() {
    data=$(absolute "${VISION_ASSETS_DATA:-data}")
    if [ -n "${VISION_ASSETS_CONFIG:-}" ]; then
        absolute "$VISION_ASSETS_CONFIG"
    elif is_uri "$data"; then
        printf '%s\n' "$root/vision_assets.yaml"
    else
        printf '%s\n' "$(dirname -- "$data")/vision_assets.yaml"
    fi
}

# has_collections: whether there are collections with a name.
has_collections() {
    ls "$(dirname -- "$(project_file)")"/collections/*.yaml >/dev/null 2>&1
}

# make_sample: creates the sample images.
make_sample() {
    vision-assets sample sample_images || exit 1
}

use_source() {
    if [ -z "${VISION_ASSETS_SOURCE:-}" ]; then
        make_sample
        VISION_ASSETS_SOURCE=$root/sample_images
        export VISION_ASSETS_SOURCE
    fi
}
