# Sourced by up.sh and down.sh, in the checkout's directory.

up=.cairn-up
here=$PWD/$up
ca_port=14443
publication_port=14481
page_port=8443
# Where the CA validates names below localhost; whoever orders listens there meanwhile.
http_port=14480
tls_port=14441

# cmdline PID: as typed; empty if it is gone.
cmdline() {
  cat "/proc/$1/cmdline" 2>/dev/null | tr '\0' ' '
}

# running NAME: the pid of what was started under that name, if it still is that.
running() {
  local pid line
  [[ -f $up/$1.pid ]] || return 1
  { read -r pid && IFS= read -r line; } <"$up/$1.pid" || return 1
  # A pid is used again; the command line and its directory of state tell whose it is.
  [[ $(cmdline "$pid") == "$line" ]] && echo "$pid"
}

# start NAME WORDS COMMAND…: in the background, until its log has the words.
start() {
  local name=$1 words=$2 log=$up/$1.log pid n
  shift 2
  : >"$log"
  RUST_BACKTRACE=0 setsid "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  printf '%s\n%s \n' "$pid" "$*" >"$up/$name.pid"
  for ((n = 0; n < 300; n++)); do
    grep -q "$words" "$log" && return
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "error: the $name did not start; $log says:" >&2
  tail -n 20 "$log" >&2
  stop page
  stop ca
  exit 1
}

# stop NAME: politely, and wait for its end.
stop() {
  local pid n
  pid=$(running "$1") || { rm -f "$up/$1.pid"; return 0; }
  kill -TERM "$pid"
  # Not by kill -0: where process 1 does not reap, as in many containers, a dead program keeps its pid.
  for ((n = 0; n < 250; n++)); do
    running "$1" >/dev/null || break
    sleep 0.1
  done
  if running "$1" >/dev/null; then
    echo "error: the $1 (pid $pid) does not stop; its log is $up/$1.log" >&2
    exit 1
  fi
  rm -f "$up/$1.pid"
}

# free PORT…: or say who has it.
free() {
  local port hex inode uid fd pid
  for port; do
    hex=$(printf '%04X' "$port")
    # local address, state 0A (listening), owner, inode
    read -r inode uid < <(awk -v p=":$hex\$" '$2 ~ p && $4 == "0A" { print $10, $8; exit }' \
      /proc/net/tcp /proc/net/tcp6 2>/dev/null) || continue
    for fd in /proc/[0-9]*/fd/*; do
      [[ $(readlink "$fd" 2>/dev/null) == "socket:[$inode]" ]] || continue
      pid=${fd#/proc/}
      pid=${pid%%/*}
      echo "error: port $port is taken by pid $pid: $(cmdline "$pid")" >&2
      echo >&2
      echo "hint: stop that program, then: make up" >&2
      exit 1
    done
    echo "error: port $port is taken by a program of user $(id -nu "$uid" 2>/dev/null || echo "$uid")" >&2
    echo >&2
    echo "hint: sudo ss -ltnp 'sport = :$port' names it; stop it, then: make up" >&2
    exit 1
  done
}
