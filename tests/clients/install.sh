#!/bin/sh
# Fetches the real Claude Code and Codex CLIs for the tests: the versions that package.json and codex/package.json name,
# checked against the hashes in the package-lock.json beside each, into ${TOLLGATE_CLIENTS:-~/.cache/tollgate-clients}.
# `install.sh claude-code` and `install.sh codex` fetch one alone. Running it again is quick. Prints the binaries' paths.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=${TOLLGATE_CLIENTS:-$HOME/.cache/tollgate-clients}
stage=

die() {
    echo "make clients: $*" >&2
    exit 1
}

runs() { # the binary starts, and is the version that was asked for
    [ -x "$1" ] || return 1
    case " $(DISABLE_AUTOUPDATER=1 "$1" --version 2>/dev/null) " in *" $version "*) ;; *) return 1 ;; esac
}

fetch() { # client, package, folder of its package.json, where its binary lies in node_modules, megabytes, its name on disk
    version=$(sed -n "s|.*\"$2\": \"\([^\"]*\)\".*|\1|p" "$3/package.json")
    target=$root/$1-$version
    if runs "$target/$6"; then
        echo "$target/$6"
        return
    fi
    command -v npm >/dev/null || die "npm is missing, and only it can fetch $2; install Node.js 20 or newer with npm, or test without (the tests that need it skip)"

    mkdir -p "$root"
    stage=$(mktemp -d "$root/.fetching.XXXXXX")
    trap 'rm -rf "$stage"' EXIT INT TERM
    cp "$3/package.json" "$3/package-lock.json" "$stage"
    echo "fetching $2 $version (some $5 MB on disk) into $root …" >&2
    # engine-strict off: packages may ask for a newer Node, their binaries need no Node at all. Optional packages hold them.
    (cd "$stage" && npm ci --ignore-scripts --include=optional --engine-strict=false --no-audit --no-fund --loglevel=error >&2) ||
        die "npm could not fetch $2@$version; its words are above"
    for binary in "$stage"/node_modules/$4; do
        [ -f "$binary" ] || die "npm brought no binary for this machine ($(uname -sm)); $2 $version is not published for it"
        ln -s "${binary#"$stage/"}" "$stage/$6"
        break
    done
    runs "$stage/$6" || die "the binary does not run here: $("$stage/$6" --version 2>&1 | head -n 3)"
    rm -rf "$target"
    mv "$stage" "$target"
    trap - EXIT INT TERM
    echo "$target/$6"
}

client=${1:-all}
case $client in
    all | claude-code | codex) ;;
    *) die "there is no client $client; ask for claude-code or codex, or for both by naming none" ;;
esac
[ "$client" = codex ] || fetch claude-code @anthropic-ai/claude-code "$here" '@anthropic-ai/claude-code-*/claude' 370 claude
[ "$client" = claude-code ] || fetch codex @openai/codex "$here/codex" '@openai/codex-*/vendor/*/bin/codex' 400 codex
