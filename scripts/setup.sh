#!/bin/sh
# Creates .venv with the locked versions, and provides what is outside Python: Java and OpenCV's libraries.
#
#   setup.sh run      what running needs
#   setup.sh dev      that, and the tools that test and check the project
#   setup.sh lint     the same Python packages, without what is outside Python
#   setup.sh python   nothing; prints the Python that .venv would be created with
#
# A stamp, written last, records the files that .venv was set up from, so nothing is done twice. PYTHON names the
# Python to use. SYSTEM_PACKAGES=no: name missing system packages, but install none.
set -u
. "$(dirname "$0")/common.sh"
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX
PIP_USER=0
export PIP_USER

kind=${1:-run}
case $kind in
    run) lock=requirements.lock ;;
    dev | lint) lock=requirements-dev.lock ;;
    python) lock='' ;;
    *) die "Usage: setup.sh run, dev, lint or python." ;;
esac
unfinished=$venv/.setup-unfinished
log=$venv/setup.log

# --- System packages --------------------------------------------------------------------------------------

package_manager() {
    if [ "$(uname)" = Darwin ]; then
        set -- brew
    else
        set -- apt-get dnf apk brew
    fi
    for manager; do
        if command -v "$manager" >/dev/null 2>&1; then
            echo "$manager"
            return
        fi
    done
}

# names_of WHAT: prints the package manager's names for it. The first that exists is used.
names_of() {
    case $manager:$1 in
        apt-get:java) echo openjdk-21-jre-headless openjdk-17-jre-headless openjdk-25-jre-headless default-jre-headless ;;
        dnf:java) echo java-21-openjdk-headless java-17-openjdk-headless java-25-openjdk-headless java-latest-openjdk-headless ;;
        apk:java) echo openjdk21-jre-headless openjdk17-jre-headless ;;
        brew:java) echo openjdk@21 openjdk@17 openjdk ;;
        apt-get:libGL.so.*) echo libgl1 ;;
        apt-get:libgthread-2.0.so.* | apt-get:libglib-2.0.so.*) echo libglib2.0-0 libglib2.0-0t64 ;;
        apt-get:libxcb.so.*) echo libxcb1 ;;
        apt-get:libX11.so.*) echo libx11-6 ;;
        apt-get:libXext.so.*) echo libxext6 ;;
        apt-get:libSM.so.*) echo libsm6 ;;
        apt-get:libICE.so.*) echo libice6 ;;
        apt-get:libz.so.*) echo zlib1g ;;
        dnf:lib*.so.*) echo "$1()(64bit)" ;;
        apk:lib*.so.*) echo "so:$1" ;;
        apt-get:python*-venv) echo "$1" ;;
        *:bash) echo bash ;;
    esac
}

# as_root COMMAND...: runs it as root. Homebrew refuses root, so there as the user.
as_root() {
    if [ "$manager" = brew ] || [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

may_install() {
    [ "${SYSTEM_PACKAGES:-yes}" != no ] || return 1
    [ -n "$manager" ] || return 1
    [ "$manager" = brew ] || [ "$(id -u)" = 0 ] || sudo -n true >/dev/null 2>&1
}

install_package() {
    case $manager in
        apt-get) as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1" ;;
        dnf) as_root dnf -y install "$1" ;;
        apk) as_root apk add "$1" ;;
        brew) HOMEBREW_NO_AUTO_UPDATE=1 brew install "$1" ;;
    esac </dev/null >>"$system_log" 2>&1
}

# need SENTENCE WHAT...: installs the packages that contain it, or ends with the sentence and what to install.
need() {
    sentence=$1
    shift
    manager=$(package_manager)
    wanted=
    system_log=$(mktemp)
    if may_install; then
        say "$sentence: installing with $manager ..."
        if [ "$manager" = apt-get ]; then
            as_root apt-get update </dev/null >>"$system_log" 2>&1
        fi
        for what; do
            install_any "$what" || wanted="$wanted $(name_to_ask_for "$what")"
        done
        [ -z "$wanted" ] || tail -n 5 "$system_log" >&2
    else
        for what; do
            name=$(name_to_ask_for "$what")
            case "$wanted " in *" $name "*) ;; *) wanted="$wanted $name" ;; esac
        done
    fi
    rm -f "$system_log"
    case $wanted:$manager in
        :*) return ;;
        *:brew) die "$sentence: run 'brew install$wanted', then make again." ;;
        *:apk) die "$sentence: run 'apk add$wanted' as root, then make again." ;;
        *:?*) die "$sentence: run 'sudo $manager install$wanted', then make again." ;;
        *) die "$sentence: install it, then run make again." ;;
    esac
}

install_any() {
    for name in $(names_of "$1"); do
        install_package "$name" && return
    done
    return 1
}

# name_to_ask_for WHAT: prints the first of its names that exists.
name_to_ask_for() {
    names=$(names_of "$1")
    if [ "$manager" = apt-get ]; then
        for name in $names; do
            if LC_ALL=C apt-cache policy "$name" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
                echo "$name"
                return
            fi
        done
    fi
    case $names in
        *\(*) echo "\"$names\"" ;;
        *) echo "${names%% *}" ;;
    esac
}

# --- Python -----------------------------------------------------------------------------------------------

probe='
import importlib.util, sys
names = ("ctypes", "ensurepip", "sqlite3", "ssl", "venv", "zlib")
lacking = [name for name in names if importlib.util.find_spec(name) is None]
lacking += [name for name in ("_ctypes", "_sqlite3", "_ssl") if importlib.util.find_spec(name) is None]
print("%d.%d.%d" % sys.version_info[:3], int(sys.version_info >= (3, 11)), *lacking[:1])
'

# find_python: sets python and python_version to the newest suitable one, or ends with what to install.
find_python() {
    seen='' lame='' lame_version='' lacks=''
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.14 python3.13 python3.12 python3.11 python3 python
    fi
    for name; do
        path=$(command -v -- "$name") || continue
        # PATH may contain a shim without a Python behind it.
        answer=$("$path" -I -c "$probe" 2>/dev/null) || continue
        case $answer in
            *" 0"*) seen="$name is ${answer%% *}" ;;
            *" 1 "*) [ -n "$lame" ] || lame=$path lame_version=${answer%% *} lacks=${answer##* } ;;
            *)
                python=$path python_version=${answer%% *}
                return
                ;;
        esac
    done
    if [ -n "$lame" ]; then
        minor=${lame_version%.*}
        case $lacks in
            ensurepip | venv)
                package=python$minor-venv
                if [ "$(/usr/bin/python3 -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$minor" ]; then
                    package=python3-venv
                fi
                need "Python $lame_version ($lame) lacks its module $lacks" "$package"
                python=$lame python_version=$lame_version
                "$lame" -I -c 'import ensurepip, venv' 2>/dev/null ||
                    die "Python $lame_version ($lame) lacks the module $lacks: choose another with PYTHON=/path/to/python3."
                return
                ;;
        esac
        die "Python $lame_version ($lame) was built without the module $lacks: choose another with PYTHON=/path/to/python3."
    fi
    if [ -n "${PYTHON:-}" ]; then
        command -v -- "$PYTHON" >/dev/null || die "PYTHON=$PYTHON was not found."
        die "PYTHON=$PYTHON is not Python 3.11 or newer${seen:+ ($seen)}."
    fi
    die "Python 3.11 or newer is needed and PATH has none${seen:+ ($seen)}: install it, or set PYTHON=/path/to/python3."
}

# stamp_of LOCK: prints the stamp of a complete set-up.
stamp_of() {
    cat "$1" pyproject.toml scripts/setup.sh | cksum
    printf '%s\n' "$root"
}

# stands KIND LOCK: tests whether .venv was set up from exactly these files, in this folder.
stands() {
    [ ! -e "$unfinished" ] && [ "$(cat "$venv/.setup-$1" 2>/dev/null)" = "$(stamp_of "$2")" ]
}

# venv_works: tests whether the Python of .venv starts, is new enough and is the one asked for.
venv_works() {
    answer=$("$venv/bin/python" -I -c "$probe" 2>/dev/null) || return 1
    case $answer in
        *" 1"*) ;;
        *) return 1 ;;
    esac
    [ -z "${PYTHON:-}" ] || [ "${answer%% *}" = "$("$PYTHON" -I -c "$probe" 2>/dev/null | sed 's/ .*//')" ]
}

venv_is_ours_to_keep() {
    [ ! -e "$unfinished" ] || return 1
    venv_works || return 1
    "$venv/bin/python" -I -m pip --version >/dev/null 2>&1 || return 1
    # If the folder was moved or copied, the commands in .venv/bin still point to the old place.
    for stamp in "$venv"/.setup-run "$venv"/.setup-dev; do
        if [ -e "$stamp" ] && ! grep -qxF -- "$root" "$stamp"; then
            return 1
        fi
    done
}

# pip ARGUMENT...: runs pip, with a progress line on a terminal.
pip() {
    {
        "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" 2>&1
        echo "exit status $?"
    } | tee -a "$log" | if [ -t 2 ]; then
        awk '
            $1 == "exit" { status = $3 }
            $1 == "Collecting" { printf "\r\033[K  %s", $2; fflush() }
            /^Building wheel/ { printf "\r\033[K  building %s", $4; fflush() }
            /^Installing collected/ { printf "\r\033[K  installing"; fflush() }
            END { printf "\r\033[K"; exit status != 0 }' >&2
    else
        awk '$1 == "exit" { status = $3 } END { exit status != 0 }'
    fi
}

set_up_packages() {
    if ! venv_is_ours_to_keep; then
        find_python
        say "Creating .venv with Python $python_version ($python) ..."
        rm -rf "$venv" && mkdir "$venv" && : >"$unfinished" || die "The folder .venv cannot be recreated."
        "$python" -m venv "$venv" >"$log" 2>&1 || {
            tail -n 5 "$log" >&2
            die "$python could not create a virtual environment; see .venv/setup.log."
        }
    fi
    say "Installing $(grep -c '^[a-zA-Z].*==' "$lock") packages from $lock into .venv; the first time this takes a minute or more ..."
    : >"$unfinished"
    : >"$log"
    rm -f "$venv/.setup-native"
    # PySpark is a source package. Its build tool, also this project's, is locked and installed first.
    awk '/^setuptools==/ { on = 1 } on { print } on && !/\\$/ { exit }' "$lock" >"$venv/.build.lock"
    pip install --require-hashes --no-deps -r "$venv/.build.lock" &&
        pip install --require-hashes --no-deps --no-build-isolation --progress-bar off -r "$lock" &&
        pip install --no-deps --no-build-isolation -e . || {
        grep -v -e '^exit status' -e '^Requirement already' -e '^Collecting' "$log" | tail -n 8 >&2
        # pip leaves a usable .venv after an error; only an interrupted set-up is started over.
        rm -f "$unfinished"
        die "Installing the packages failed; see .venv/setup.log."
    }
    if [ "$kind" != run ]; then
        stamp_of "$lock" >"$venv/.setup-dev"
    fi
    stamp_of requirements.lock >"$venv/.setup-run"
    rm -f "$unfinished"
}

# --- Outside Python ---------------------------------------------------------------------------------------

# opencv_lacks: prints the system libraries that OpenCV lacks. Its import names one, ldd all.
opencv_lacks() {
    answer=$("$venv/bin/python" -c 'import cv2' 2>&1) && return
    library=$(printf '%s\n' "$answer" | sed -n 's/^ImportError: \(lib[^:]*\): cannot open shared object file.*/\1/p')
    [ -n "$library" ] || die "OpenCV cannot be imported: $(printf '%s\n' "$answer" | tail -n 1)"
    {
        echo "$library"
        ldd "$venv"/lib/python*/site-packages/cv2/*.so 2>/dev/null | awk '/=> not found/ { print $1 }'
    } | sort -u | tr '\n' ' ' | sed 's/ $//'
}

set_up_native() {
    for round in 1 2 3 4 5; do
        lacking=$(opencv_lacks) || exit 1
        sentence=
        [ -z "$lacking" ] || sentence="$lacking (for OpenCV)"
        if ! command -v bash >/dev/null 2>&1; then
            lacking="$lacking bash" sentence="${sentence:+$sentence, }bash (for Spark)"
        fi
        if ! use_java; then
            lacking="$lacking java" sentence="${sentence:+$sentence, }Java 17 or newer, at JAVA_HOME or elsewhere (for Spark)"
        fi
        [ -n "$lacking" ] || return 0
        [ "$round" != 5 ] || die "This system lacks $sentence, although the packages are installed."
        # shellcheck disable=SC2086  # several words
        need "This system lacks $sentence" $lacking
    done
}

# -----------------------------------------------------------------------------------------------------------

if [ "$kind" = python ]; then
    find_python
    printf '%s\n' "$python"
    exit
fi
# look: sets packages and native to "missing" where something is left to do.
look() {
    packages='' native=''
    stands dev requirements-dev.lock || { [ "$kind" = run ] && stands run requirements.lock; } || packages=missing
    # The Python is gone, or not the one asked for.
    [ -n "$packages" ] || venv_works || packages=missing
    if [ "$kind" != lint ]; then
        { [ -z "$packages" ] && [ -e "$venv/.setup-native" ] && use_java; } || native=missing
    fi
}

# take_turn: allows one set-up of this folder at a time. A dead process loses its turn.
take_turn() {
    turn=${TMPDIR:-/tmp}/vision-assets-setup-$(id -u)-$(printf '%s' "$root" | cksum | tr -d ' ')
    waited=0
    until mkdir "$turn" 2>/dev/null; do
        other=$(cat "$turn/pid" 2>/dev/null)
        if [ -n "$other" ] && ! kill -0 "$other" 2>/dev/null; then
            rm -rf "$turn"
        elif [ -z "$other" ] && [ "$waited" -gt 5 ]; then
            rm -rf "$turn"
            return
        else
            [ "$waited" != 0 ] || [ -z "$other" ] || say "Another set-up of this folder is running; waiting for it ..."
            waited=$((waited + 1))
            sleep 1
        fi
    done
    echo $$ >"$turn/pid"
    trap 'rm -rf "$turn"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

look
if [ -n "$packages$native" ]; then
    take_turn
    look
fi
if [ -n "$packages" ]; then
    started=$(date +%s)
    set_up_packages
    say "Set up in $(($(date +%s) - started)) s."
fi
if [ -n "$native" ]; then
    set_up_native
    say "Archiving Spark's classes, so that it starts faster ..."
    "$venv/bin/python" -m vision_assets.steps.class_archive </dev/null >>"$log" 2>&1 ||
        say "That failed; Spark works without it. See .venv/setup.log."
    : >"$venv/.setup-native"
fi
