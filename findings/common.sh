# What the scripts of this folder share: a temporary folder, cleaning up, and checks. Sourced, not run.
set -euo pipefail

work=$(mktemp -d)
started=()

clean_up() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT

# Installs a package of npm at a version, with its program in $work/node_modules/.bin.
npm_install() { npm install --silent --no-audit --no-fund --prefix "$work" "$1" >/dev/null; }

# Installs a package of PyPI at a version, with its program in $work/python/bin.
pip_install() {
    python3 -m venv "$work/python"
    "$work/python/bin/pip" install --quiet "$1" 2>/dev/null
}

# Unpacks a package of Debian at a version below $work/debian. Run `apt-get update` once before.
deb_unpack() {
    (cd "$work" && apt-get download -qq "$1" >/dev/null 2>&1 && dpkg -x "${1%%=*}"_*.deb debian)
}

# Starts a server of node on a free port of loopback, from the code of a request handler, and sets $url.
serve() {
    local handler=$1
    cat >"$work/server.js" <<JS
const server = require("http").createServer($handler);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
JS
    node "$work/server.js" >"$work/port" &
    started+=($!)
    for _ in $(seq 100); do
        [ -s "$work/port" ] && break
        sleep 0.1
    done
    url="http://127.0.0.1:$(cat "$work/port")/"
}

changed=0
# Compares what was seen with what this script says.
expect() {
    local what=$1 expected=$2 seen=$3
    if [ "$expected" = "$seen" ]; then
        printf 'as stated: %s: %s\n' "$what" "$seen"
    else
        printf 'CHANGED:   %s: stated %s, seen %s\n' "$what" "$expected" "$seen"
        changed=1
    fi
}
