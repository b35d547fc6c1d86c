#!/bin/sh
# Fetches the real Claude Code CLI for the tests: the version that package.json names, checked against the hashes in
# package-lock.json, into ${TOLLGATE_CLIENTS:-~/.cache/tollgate-clients}. Running it again is quick. Prints the binary's path.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
version=$(sed -n 's/.*"@anthropic-ai\/claude-code": "\([^"]*\)".*/\1/p' "$here/package.json")
root=${TOLLGATE_CLIENTS:-$HOME/.cache/tollgate-clients}
target=$root/claude-code-$version

die() {
    echo "make clients: $*" >&2
    exit 1
}

runs() { # the binary starts, and is the version that was asked for
    [ -x "$1/claude" ] && [ "$(DISABLE_AUTOUPDATER=1 "$1/claude" --version 2>/dev/null | cut -d ' ' -f 1)" = "$version" ]
}

if runs "$target"; then
    echo "$target/claude"
    exit 0
fi
command -v npm >/dev/null || die "npm is missing, and only it can fetch Claude Code; install Node.js 20 or newer with npm, or test without (the tests that need it skip)"

mkdir -p "$root"
stage=$(mktemp -d "$root/.fetching.XXXXXX")
trap 'rm -rf "$stage"' EXIT INT TERM
cp "$here/package.json" "$here/package-lock.json" "$stage"
echo "fetching Claude Code $version (some 370 MB on disk) into $root …" >&2
# engine-strict off: the package asks for Node >= 22, its binary needs no Node at all. Optional packages hold the binary.
(cd "$stage" && npm ci --ignore-scripts --include=optional --engine-strict=false --no-audit --no-fund --loglevel=error >&2) ||
    die "npm could not fetch @anthropic-ai/claude-code@$version; its words are above"
for binary in "$stage"/node_modules/@anthropic-ai/claude-code-*/claude; do
    [ -f "$binary" ] || die "npm brought no binary for this machine ($(uname -sm)); Claude Code $version is not published for it"
    ln -s "${binary#"$stage/"}" "$stage/claude"
    break
done
runs "$stage" || die "the binary does not run here: $("$stage/claude" --version 2>&1 | head -n 3)"
rm -rf "$target"
mv "$stage" "$target"
trap - EXIT INT TERM
echo "$target/claude"
