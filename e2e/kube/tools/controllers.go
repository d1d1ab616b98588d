package main

// What a cloud would add to Kubernetes: volumes (volumes.go) and addresses for Services of type LoadBalancer (load_balancers.go).
// Both look four times a second: a cluster for development has few objects, and there is nothing to miss.

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const pause = 250 * time.Millisecond

func runControllers(args []string) error {
	flags := flag.NewFlagSet("controllers", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "client configuration")
	volumes := flags.String("volumes", "", "folder that holds the volumes")
	addresses := flags.String("addresses", "", "first three numbers of the addresses for load balancers, such as 10.97.0")
	_ = flags.Parse(args)
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 50, 100
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	for ctx.Err() == nil {
		complain(ctx, "volumes", syncVolumes(ctx, client, *volumes))
		complain(ctx, "load balancers", syncLoadBalancers(ctx, client, *addresses))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

func complain(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, time.Now().Format(time.RFC3339), what+":", err)
	}
}
