# Sourced by every smoke: starts the real binaries on free ports with a temporary configuration,
# and stops them by their ids, whatever happens.
. "$(dirname "${BASH_SOURCE[0]}")/../env"

SMOKE=$(basename "$0")
WORK=$(mktemp -d "${TMPDIR:-/tmp}/lakehouse-$SMOKE.XXXXXX")
export WORK
declare -A PIDS=() PORTS=()
STATUS='' BODY=''

# free_ports COUNT: ports that nobody else takes, not even while their service is down for a moment.
free_ports() { python3 tests/blackbox/ports.py "$1"; }

# Every service knows where all others will be, so they can be started in any order.
read -r -a free < <(free_ports "${#SERVICES[@]}")
for service in "${SERVICES[@]}"; do
    PORTS[$service]=${free[0]}
    free=("${free[@]:1}")
    declare -gx "${service^^}_URL=http://127.0.0.1:${PORTS[$service]}"
done

CONFIG=$WORK/lakehouse.toml
{
    for service in "${SERVICES[@]}"; do
        printf '[%s]\nbind = "127.0.0.1:%s"\n' "$service" "${PORTS[$service]}"
        case $service in
        storaged) printf 'root = "%s/objects"\n' "$WORK" ;;
        catalogd) printf 'storaged_url = "%s"\n' "$STORAGED_URL" ;;
        ingestd) printf 'storaged_url = "%s"\ncatalogd_url = "%s"\nspool_dir = "%s/spool"\n' "$STORAGED_URL" "$CATALOGD_URL" "$WORK" ;;
        queryd) printf 'storaged_url = "%s"\ncatalogd_url = "%s"\ncache_dir = "%s/cache"\nspill_dir = "%s/spill"\n' "$STORAGED_URL" "$CATALOGD_URL" "$WORK" "$WORK" ;;
        vectord) printf 'storaged_url = "%s"\nembedd_url = "%s"\n' "$STORAGED_URL" "$EMBEDD_URL" ;;
        gateway) for up in storaged catalogd ingestd queryd vectord embedd; do
            url=${up^^}_URL; printf '%s_url = "%s"\n' "$up" "${!url}"; done ;;
        esac
    done
    # With LAKEHOUSE_TEST_S3_ENDPOINT the same smoke runs on that endpoint, under a prefix of its own.
    if [ -n "${LAKEHOUSE_TEST_S3_ENDPOINT:-}" ]; then
        printf '[s3]\nendpoint = "%s"\nbucket = "lakehouse"\ncreate_bucket = true\nprefix = "%s"\naccess_key_id = "test"\nsecret_access_key = "test"\n' \
            "$LAKEHOUSE_TEST_S3_ENDPOINT" "$(basename "$WORK")"
    fi
} > "$CONFIG"
if [ -n "${LAKEHOUSE_TEST_S3_ENDPOINT:-}" ]; then
    export LAKEHOUSE_STORAGED__BACKEND=s3
fi
export LAKEHOUSE_CONFIG=$CONFIG

fail() {
    say "FAIL $SMOKE: $*"
    [ -z "$BODY" ] || say "  last answer ($STATUS): ${BODY:0:2000}"
    for log in "$WORK"/*.log; do
        [ -e "$log" ] && { say "--- $(basename "$log")"; tail -n 20 "$log" >&2; }
    done
    exit 1
}

# start_service NAME [flags]: starts it and waits until it is ready (START_WAIT=livez: until it answers).
start_service() {
    local name=$1 url="${1^^}_URL" deadline
    shift
    "$BIN/$name" "$@" >>"$WORK/$name.log" 2>&1 &
    PIDS[$name]=$!
    deadline=$((SECONDS + 120))
    until curl -fsS -o /dev/null --max-time 10 "${!url}/${START_WAIT:-readyz}" 2>/dev/null; do
        kill -0 "${PIDS[$name]}" 2>/dev/null || fail "$name ended at its start"
        [ "$SECONDS" -lt "$deadline" ] || fail "$name is not ready after 120 s: $(curl -s "${!url}/readyz")"
        read -r -t 0.05 <> <(:) || true
    done
}

# stop_service NAME [SIGNAL]: stops it (TERM) and waits for its end; the exit code is in STOPPED.
stop_service() {
    local name=$1 pid=${PIDS[$1]}
    kill -s "${2:-TERM}" "$pid" 2>/dev/null || true
    STOPPED=0
    wait "$pid" 2>/dev/null || STOPPED=$?
    unset "PIDS[$name]"
}

# request METHOD URL [curl arguments]: the status in STATUS, the body in BODY, the headers in $WORK/headers.
request() {
    local method=$1 url=$2
    shift 2
    if [ "$method" = HEAD ]; then set -- --head "$@"; else set -- -X "$method" "$@"; fi
    STATUS=$(curl -sS --max-time 180 -o "$WORK/body" -D "$WORK/headers" -w '%{http_code}' "$@" "$url") || true
    BODY=$(tr -d '\0' < "$WORK/body" 2>/dev/null || true)
}

# check STATUS METHOD URL [curl arguments]: as request, and the status must be the expected one.
check() {
    local expected=$1
    shift
    request "$@"
    [ "$STATUS" = "$expected" ] || fail "$1 $2 answered $STATUS, not $expected"
}

# json EXPRESSION: a Python expression over the last body `b` as JSON.
json() {
    python3 -c 'import json,sys; b=json.load(open(sys.argv[1])); r=eval(sys.argv[2]); print(r if isinstance(r,str) else json.dumps(r))' "$WORK/body" "$1" \
        || fail "the answer is not the JSON expected: $1"
}

# health [curl arguments]: the gateway's /v1/health, asked again where a service that runs had no time to answer.
health() {
    local deadline=$((SECONDS + 60))
    check 200 GET "$GATEWAY_URL/v1/health" "$@"
    while grep -q '"no answer in time"' <<<"$BODY" && [ "$SECONDS" -lt "$deadline" ]; do
        check 200 GET "$GATEWAY_URL/v1/health" "$@"
    done
}

# same WHAT ACTUAL EXPECTED
same() {
    [ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"
}

# header NAME: of the last answer.
header() {
    sed -n "s/^$1: //Ip" "$WORK/headers" | tr -d '\r' | tail -n 1
}

# No log may hold a panic, whatever the smoke did.
no_panics() {
    if grep -lE '"message":"panic"|panicked at| panic ' "$WORK"/*.log 2>/dev/null; then fail "a log holds a panic"; fi
}

finish() {
    local code=$?
    trap - EXIT
    for name in "${!PIDS[@]}"; do kill -s KILL "${PIDS[$name]}" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ "$code" = 0 ]; then
        rm -rf "$WORK"
        say "ok   $SMOKE"
    else
        say "     $SMOKE left its files in $WORK"
    fi
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM
