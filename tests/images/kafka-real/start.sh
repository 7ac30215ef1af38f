#!/bin/sh
# Starts Apache Kafka in the working directory, with the listeners that Redpanda's arguments name:
#   --kafka-addr=NAME://HOST:PORT,...  --advertise-kafka-addr=NAME://HOST:PORT,...
# Redpanda's other arguments are ignored. An empty folder is formatted first, under a cluster id of its own.
set -eu
home=${0%/*}
listeners='' advertised=''
for argument; do
    case $argument in
    --kafka-addr=*) listeners=${argument#*=} ;;
    --advertise-kafka-addr=*) advertised=${argument#*=} ;;
    esac
done
if [ -z "$listeners" ] || [ -z "$advertised" ]; then
    printf '%s\n' "Kafka is not told where to listen: --kafka-addr and --advertise-kafka-addr are needed" \
        "arguments: $*" "Fix: give it the command that monitoring/compose.yaml gives to the service kafka" >&2
    exit 2
fi

cp "$home/node.properties" server.properties
cat >>server.properties <<END
listeners=$listeners,CONTROLLER://127.0.0.1:9093
advertised.listeners=$advertised
listener.security.protocol.map=$(printf %s "$listeners" | sed 's|://[^,]*|:PLAINTEXT|g'),CONTROLLER:PLAINTEXT
inter.broker.listener.name=${listeners%%://*}
log.dirs=log
END

set -- java "@$home/java.options" -cp "$home/libs/*"
if [ ! -f log/meta.properties ]; then
    # 16 bytes; the first is 0, for an id that begins with a hyphen would be taken for an option.
    cluster=$({ printf '\0'; head -c 15 /dev/urandom; } | base64 | tr '+/' '-_' | tr -d '=')
    "$@" kafka.tools.StorageTool format --config server.properties --cluster-id "$cluster"
fi
exec "$@" kafka.Kafka server.properties
