#!/usr/bin/env bash
# kcat as a person would use it: metadata, produce, consume, groups, offsets by time. Prints one line per check and a count.
# Needs BOOTSTRAP_SERVERS, API_KEY and API_SECRET.
set -u -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
run=$$

cat > "$work/kcat.conf" <<CONF
bootstrap.servers=$BOOTSTRAP_SERVERS
security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.username=$API_KEY
sasl.password=$API_SECRET
CONF

k() { timeout 60 kcat -F "$work/kcat.conf" "$@" 2> "$work/err"; }

# check NAME EXPECTED ACTUAL
check() {
  if [ "$2" = "$3" ]; then
    passed=$((passed + 1)); echo "ok   $1"
  else
    failed=$((failed + 1)); echo "FAIL $1"; echo "     expected: ${2:0:400}"; echo "     actual:   ${3:0:400}"
    sed 's/^/     kcat: /' "$work/err" | tail -5
  fi
}

# succeeds NAME COMMAND...
succeeds() {
  local name=$1; shift
  if "$@" > "$work/out"; then check "$name" yes yes; else check "$name" yes "no, exit code $?"; fi
}

topic=kcat-$run
succeeds "-L lists the cluster" k -L
check "-L names one broker" 1 "$(k -L | grep -c '^  broker ')"
check "-L names a controller" 1 "$(k -L | grep -c 'controller')"

succeeds "-L of a topic nobody has is answered" k -L -t "no-such-topic-$run"

succeeds "-P creates the topic and produces keys and values" bash -c \
  "for i in \$(seq 1 1000); do echo \"key-\$i:value \$i\"; done | timeout 60 kcat -F '$work/kcat.conf' -P -t $topic -K: 2> '$work/err'"
k -L -t "$topic" > "$work/meta"
check "the new topic has partitions with a leader" yes "$(grep -q 'partition 0, leader [0-9]' "$work/meta" && echo yes || cat "$work/meta")"
check "-C reads all records back" 1000 "$(k -C -t "$topic" -o beginning -e -q | wc -l)"
check "-C reads keys and values unchanged" "$(for i in $(seq 1 1000); do echo "key-$i:value $i"; done | sort | md5sum)" \
  "$(k -C -t "$topic" -o beginning -e -q -K: | sort | md5sum)"
check "-C -o -1 with -c reads the last record" 1 "$(k -C -t "$topic" -p 0 -o -1 -c 1 -q | wc -l)"

succeeds "-P to one partition" bash -c "seq 1 100 | timeout 60 kcat -F '$work/kcat.conf' -P -t $topic -p 1 2> '$work/err'"
check "offsets of one partition have no gap" yes \
  "$(k -C -t "$topic" -p 1 -o beginning -e -q -f '%o\n' | awk 'NR==1{n=$1} $1!=n++{bad=1} END{print (bad || NR<100) ? "gap" : "yes"}')"

check "-Q answers the earliest offset" "$topic [0] offset 0" "$(k -Q -t "$topic:0:-2" | sed 's/\r//')"
end=$(k -C -t "$topic" -p 0 -o beginning -e -q | wc -l)
check "-Q answers the end offset" "$topic [0] offset $end" "$(k -Q -t "$topic:0:-1")"
check "-Q by time answers the first record after it" "$topic [0] offset 0" "$(k -Q -t "$topic:0:1000000000000")"

for codec in gzip snappy lz4 zstd; do
  name=kcat-$codec-$run
  if k -L 2>/dev/null | grep -q .; then
    for i in $(seq 1 500); do echo "a line that compresses well, number $i"; done > "$work/lines"
    succeeds "-P with $codec" bash -c "timeout 60 kcat -F '$work/kcat.conf' -P -t $name -z $codec < '$work/lines' 2> '$work/err'"
    check "-C reads $codec back" "$(sort "$work/lines" | md5sum)" "$(k -C -t "$name" -o beginning -e -q | sort | md5sum)"
  fi
done

header_topic=kcat-headers-$run
succeeds "-P with headers" bash -c "echo body | timeout 60 kcat -F '$work/kcat.conf' -P -t $header_topic -H source=kcat -H lang=fr 2> '$work/err'"
check "-C shows the headers" "source=kcat,lang=fr body" "$(k -C -t "$header_topic" -o beginning -e -q -f '%h %s\n')"
succeeds "-P of a null value" bash -c "echo 'gone:' | timeout 60 kcat -F '$work/kcat.conf' -P -t $header_topic -K: -Z 2> '$work/err'"
check "-C shows the null value as size -1" 1 "$(k -C -t "$header_topic" -o beginning -e -q -f '%k %S\n' | grep -c '^gone -1')"
check "-C shows timestamps of now" yes \
  "$(k -C -t "$header_topic" -o beginning -e -q -f '%T\n' | awk -v now="$(date +%s)" '{d = now - $1 / 1000; if (d < -60 || d > 300) bad = 1} END {print (bad || NR == 0) ? "no" : "yes"}')"
big=$(head -c 500000 /dev/zero | tr '\0' x)
echo "$big" > "$work/big"
succeeds "-P of half a megabyte" bash -c "timeout 60 kcat -F '$work/kcat.conf' -P -t kcat-big-$run < '$work/big' 2> '$work/err'"
check "-C of half a megabyte" 500001 "$(k -C -t "kcat-big-$run" -o beginning -e -q | wc -c)"

# Groups: -G reads everything, commits when it ends; a second run of the same group reads nothing more.
timeout 60 kcat -F "$work/kcat.conf" -X auto.offset.reset=earliest -e -q -G "group-$run" "$topic" > "$work/group" 2> "$work/err"
check "-G reads the whole topic" 1100 "$(wc -l < "$work/group")"
seq 1 7 | k -P -t "$topic"
timeout 60 kcat -F "$work/kcat.conf" -X auto.offset.reset=earliest -e -q -G "group-$run" "$topic" > "$work/group2" 2> "$work/err"
check "-G of the same group reads only what is new" 7 "$(wc -l < "$work/group2")"

succeeds "an idempotent producer" bash -c "seq 1 50 | timeout 60 kcat -F '$work/kcat.conf' -P -t kcat-idem-$run -X enable.idempotence=true 2> '$work/err'"
check "an idempotent producer writes once" 50 "$(k -C -t "kcat-idem-$run" -o beginning -e -q | wc -l)"
succeeds "acks=1" bash -c "seq 1 50 | timeout 60 kcat -F '$work/kcat.conf' -P -t kcat-acks1-$run -X acks=1 2> '$work/err'"
check "acks=1 wrote all" 50 "$(k -C -t "kcat-acks1-$run" -o beginning -e -q | wc -l)"
succeeds "acks=0" bash -c "seq 1 50 | timeout 60 kcat -F '$work/kcat.conf' -P -t kcat-acks1-$run -X acks=0 2> '$work/err'"

sed 's/^sasl.password=.*/sasl.password=wrong/' "$work/kcat.conf" > "$work/wrong.conf"
timeout 20 kcat -F "$work/wrong.conf" -L -m 5 > "$work/out" 2> "$work/err"
check "a wrong secret is refused" yes "$([ $? -ne 0 ] && grep -qi 'auth' "$work/err" && echo yes || cat "$work/err")"

echo "kcat: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
