#!/usr/bin/env bash
# Apache Kafka's own command line programs, as its manual shows them. Prints one line per check and a count.
# Needs KAFKA_JARS, LOG4J, CLIENT_PROPERTIES, BOOTSTRAP_SERVERS, PLAIN_BOOTSTRAP_SERVERS (the same server without SASL) and
# ACLS (True or False: whether the server keeps ACLs) and, with True, REST_URL, CLOUD_API_KEY and CLOUD_API_SECRET.
set -u -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
run=$$

# tool MAIN ARGUMENT...: its output is in $work/out as well.
tool() {
  timeout 120 java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$LOG4J" -cp "$KAFKA_JARS/*" "$@" \
    > "$work/out" 2> "$work/err"
}

# client MAIN ARGUMENT...: a tool that logs in.
client() {
  local main=$1
  shift
  tool "$main" --bootstrap-server "$BOOTSTRAP_SERVERS" --command-config "$CLIENT_PROPERTIES" "$@"
}

report() { # report NAME yes|no
  if [ "$2" = yes ]; then
    passed=$((passed + 1)); echo "ok   $1 (at $SECONDS s)"
  else
    failed=$((failed + 1)); echo "FAIL $1"
    tail -5 "$work/out" | cut -c1-300 | sed 's/^/     out: /'
    tail -8 "$work/err" | cut -c1-300 | sed 's/^/     err: /'
  fi
}

# succeeds NAME COMMAND...
succeeds() {
  local name=$1
  shift
  if "$@"; then report "$name" yes; else report "$name" no; fi
}

# prints NAME PATTERN: the last tool printed a line that matches.
prints() { if grep -Eq "$2" "$work/out"; then report "$1" yes; else report "$1" no; fi; }

sum_up() { awk "{sum += \$1} END {print sum + 0}"; }

topics=org.apache.kafka.tools.TopicCommand
groups=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
topic=tools-$run

succeeds "TopicCommand creates a topic" client $topics --create --topic "$topic" --partitions 3 --config retention.ms=3600000
succeeds "TopicCommand describes it" client $topics --describe --topic "$topic"
prints "its partitions and configs are shown" "PartitionCount: 3.*Configs: .*retention.ms=3600000"
prints "each partition has a leader" "Partition: 2[[:space:]]+Leader: [0-9]+"
succeeds "TopicCommand adds partitions" client $topics --alter --topic "$topic" --partitions 4
succeeds "TopicCommand lists topics" client $topics --list
prints "the topic is listed" "^$topic\$"

succeeds "VerifiableProducer sends 10,000 records" client org.apache.kafka.tools.VerifiableProducer \
  --topic "$topic" --max-messages 10000 --throughput -1 --acks -1 --repeating-keys 50
prints "all 10,000 were acknowledged" '"sent":10000.*"acked":10000|"acked":10000.*"sent":10000'
succeeds "VerifiableConsumer reads them" client org.apache.kafka.tools.VerifiableConsumer \
  --topic "$topic" --group-id "verify-$run" --max-messages 10000 --reset-policy earliest --group-protocol classic
consumed=$(grep -o '"name":"records_consumed".*' "$work/out" | grep -o '"count":[0-9]*' | head -10000 | cut -d: -f2 | sum_up)
if [ "${consumed:-0}" -ge 10000 ]; then report "10,000 were consumed" yes; else echo "consumed: $consumed"; report "10,000 were consumed" no; fi

succeeds "GetOffsetShell answers the end offsets" client org.apache.kafka.tools.GetOffsetShell --topic "$topic"
total=$(cut -d: -f3 "$work/out" | sum_up)
if [ "$total" = 10000 ]; then report "they add up to 10,000" yes; else report "they add up to 10,000" no; fi
succeeds "GetOffsetShell answers the earliest offsets" client org.apache.kafka.tools.GetOffsetShell --topic "$topic" --time -2
prints "they are zero" "^$topic:0:0\$"
succeeds "GetOffsetShell answers by largest timestamp" client org.apache.kafka.tools.GetOffsetShell --topic "$topic" --time -3

succeeds "ConsumerGroupCommand lists groups" client $groups --list
prints "the group is listed" "^verify-$run\$"
succeeds "ConsumerGroupCommand describes the group" client $groups --describe --group "verify-$run"
prints "its committed offsets and lag are shown" "verify-$run +$topic +0 +[0-9]+ +[0-9]+ +0 "
succeeds "ConsumerGroupCommand describes its state" client $groups --describe --group "verify-$run" --state
prints "the group is empty" "Empty"
succeeds "ConsumerGroupCommand resets offsets" client $groups --group "verify-$run" --topic "$topic" --reset-offsets --to-earliest --execute
prints "the new offset is zero" "$topic +0 +0"
succeeds "ConsumerGroupCommand resets offsets by time" client $groups --group "verify-$run" --topic "$topic:0" --reset-offsets --by-duration PT1H --execute
succeeds "ConsumerGroupCommand deletes offsets" client $groups --group "verify-$run" --topic "$topic" --delete-offsets
succeeds "ConsumerGroupCommand deletes the group" client $groups --delete --group "verify-$run"
prints "the deletion succeeded" "successful"

succeeds "ConfigCommand alters a topic" client kafka.admin.ConfigCommand --alter --entity-type topics --entity-name "$topic" --add-config retention.bytes=1000000
succeeds "ConfigCommand describes the topic" client kafka.admin.ConfigCommand --describe --entity-type topics --entity-name "$topic"
prints "the new config is shown" "retention.bytes=1000000"
succeeds "ConfigCommand describes every config" client kafka.admin.ConfigCommand --describe --all --entity-type topics --entity-name "$topic"
prints "defaults are shown too" "cleanup.policy=delete"

echo "{\"version\":1,\"partitions\":[{\"topic\":\"$topic\",\"partition\":0,\"offset\":10}]}" > "$work/delete.json"
succeeds "DeleteRecordsCommand deletes records" client org.apache.kafka.tools.DeleteRecordsCommand --offset-json-file "$work/delete.json"
prints "the low watermark is 10" "low_watermark: 10"
succeeds "BrokerApiVersionsCommand lists the versions" client org.apache.kafka.tools.BrokerApiVersionsCommand
prints "produce and fetch are usable" "Produce\(0\): .*usable"

succeeds "ProducerPerformance sends 50,000 records" client org.apache.kafka.tools.ProducerPerformance \
  --topic "perf-$run" --num-records 50000 --record-size 200 --throughput -1 --command-property acks=all
prints "it prints its percentiles" "50000 records sent.*99.9th"
succeeds "ConsumerPerformance reads them" client org.apache.kafka.tools.ConsumerPerformance --topic "perf-$run" --num-records 50000 --timeout 30000 --hide-header

succeeds "ClientCompatibilityTest succeeds" tool org.apache.kafka.tools.ClientCompatibilityTest --bootstrap-server "$PLAIN_BOOTSTRAP_SERVERS" \
  --topic "compatibility-$run" --offsets-for-times-supported True --cluster-id-supported True --expect-record-too-large-exception False \
  --num-cluster-nodes 1 --create-topics-supported True --describe-acls-supported True --describe-configs-supported True \
  --idempotent-producer-supported True
prints "it says SUCCESS" "SUCCESS"

if [ "$ACLS" = True ]; then
  acl() { client org.apache.kafka.tools.AclCommand "$@"; }
  account() { # account NAME: prints the id of a new service account
    curl -sS --max-time 30 -u "$CLOUD_API_KEY:$CLOUD_API_SECRET" -H 'Content-Type: application/json' \
      -d "{\"display_name\":\"$1-$run\",\"description\":\"\"}" "$REST_URL/iam/v2/service-accounts" | grep -o '"id":"sa-[^"]*"' | head -1 | cut -d'"' -f4
  }
  reader=$(account reader)
  writer=$(account writer)
  succeeds "AclCommand allows a consumer" acl --add --allow-principal User:$reader --consumer --topic "$topic" --group "verify-" --resource-pattern-type prefixed
  prints "it says what it added" "resourceType=TOPIC, name=$topic, patternType=PREFIXED"
  succeeds "AclCommand allows an idempotent producer" acl --add --allow-principal User:$writer --producer --idempotent --topic "$topic" --transactional-id "tx-$run"
  succeeds "AclCommand denies an address" acl --add --deny-principal 'User:*' --deny-host 10.1.2.3 --operation Write --topic "$topic"
  succeeds "AclCommand allows something on the cluster" acl --add --allow-principal User:$writer --operation Describe --cluster
  succeeds "AclCommand lists ACLs" acl --list
  prints "the consumer's group is listed" "resourceType=GROUP, name=verify-, patternType=PREFIXED"
  prints "the producer's transactional id is listed" "resourceType=TRANSACTIONAL_ID, name=tx-$run, patternType=LITERAL"
  prints "idempotent writes are listed" "principal=User:$writer, host=\*, operation=IDEMPOTENT_WRITE, permissionType=ALLOW"
  prints "the denial is listed" "principal=User:\*, host=10.1.2.3, operation=WRITE, permissionType=DENY"
  succeeds "AclCommand lists what matches a topic" acl --list --topic "$topic-of-others" --resource-pattern-type match
  prints "the prefix matches" "name=$topic, patternType=PREFIXED"
  if grep -q "patternType=LITERAL" "$work/out"; then report "the literal does not" no; else report "the literal does not" yes; fi
  succeeds "AclCommand lists by principal" acl --list --principal User:$reader
  if grep -q "$writer" "$work/out"; then report "only of this principal" no; else report "only of this principal" yes; fi
  for foreign in User:alice User:sa-nobody; do
    acl --add --allow-principal "$foreign" --operation Read --topic "$topic"
    if grep -q "principal: must be" "$work/out" "$work/err"; then report "$foreign is refused and named" yes; else report "$foreign is refused and named" no; fi
  done
  succeeds "AclCommand removes ACLs of any pattern" acl --remove --force --topic "$topic" --resource-pattern-type any
  succeeds "AclCommand removes the producer" acl --remove --force --allow-principal User:$writer --producer --idempotent --topic "$topic" --transactional-id "tx-$run"
  succeeds "AclCommand removes the rest of a group" acl --remove --force --group "verify-" --resource-pattern-type prefixed
  succeeds "AclCommand removes what is on the cluster" acl --remove --force --cluster
  succeeds "AclCommand lists again" acl --list
  if grep -q "$topic\|verify-\|$writer" "$work/out"; then report "nothing is left" no; else report "nothing is left" yes; fi
fi

succeeds "TopicCommand deletes the topic" client $topics --delete --topic "$topic"
client $topics --describe --topic "$topic"
if [ $? -ne 0 ]; then report "the deleted topic is not described" yes; else report "the deleted topic is not described" no; fi

echo "kafka-tools: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
