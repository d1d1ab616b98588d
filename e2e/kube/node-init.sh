#!/bin/bash
# The first process of a node, in network, mount and pid namespaces of its own: containerd, the kubelet and kube-proxy, each started
# again when it ends. When this process is killed, everything of the node ends and every mount vanishes.
# Given: NODE_DIR (the node's files), NODE (its name), ADDRESS, ZONE, KUBE (the programs), KUBECONFIGS (a folder).
set -u
mount --make-rshared / # otherwise volumes do not reach into containers
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/containerd /run/netns /run/lock
mount --bind "$NODE_DIR/lib" /var/lib
mount --bind "$NODE_DIR/log" /var/log
# The kubelet would change these settings for the whole machine; it gets to see files with the values that it wants.
mount --bind "$NODE_DIR/sysctl/overcommit_memory" /proc/sys/vm/overcommit_memory
mount --bind "$NODE_DIR/sysctl/panic" /proc/sys/kernel/panic
mount --bind "$NODE_DIR/sysctl/panic_on_oops" /proc/sys/kernel/panic_on_oops

keep() { # keep NAME COMMAND...
  local name=$1
  shift
  while :; do
    "$@" >> "/var/log/$name.log" 2>&1 < /dev/null &
    echo $! > "/run/$name.pid"
    wait $!
    echo "$name ended: $?"
    sleep 1
  done
}

trap 'exit 0' TERM
keep containerd containerd --config "$NODE_DIR/containerd.toml" --log-level warn &
while [ ! -e "$NODE_DIR/images-ready" ]; do sleep 0.1; done
keep kubelet "$KUBE" kubelet --config="$NODE_DIR/kubelet.yaml" --kubeconfig="$KUBECONFIGS/node-${NODE#n}.conf" \
  --hostname-override="$NODE" --node-ip="$ADDRESS" --root-dir=/var/lib/kubelet --cert-dir=/var/lib/kubelet/pki \
  --node-labels="topology.kubernetes.io/zone=$ZONE,topology.kubernetes.io/region=local" &
keep kube-proxy "$KUBE" proxy --config="$NODE_DIR/proxy.yaml" &
while :; do
  sleep 3600 &
  wait $!
done
