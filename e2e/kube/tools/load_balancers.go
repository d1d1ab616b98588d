package main

// Gives every Service of type LoadBalancer the lowest free address; kube-proxy does the rest.
// The host routes these addresses to node 1.

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const mostLoadBalancers = 250

func syncLoadBalancers(ctx context.Context, client kubernetes.Interface, addresses string) error {
	services, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, service := range services.Items {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			taken[ingress.IP] = true
		}
	}
	for i := range services.Items {
		service := &services.Items[i]
		waits := service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil &&
			len(service.Status.LoadBalancer.Ingress) == 0 && service.DeletionTimestamp == nil
		if !waits {
			continue
		}
		address, err := lowestFree(addresses, taken)
		if err != nil {
			return err
		}
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		if _, err := client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{}); err != nil {
			return err
		}
		taken[address] = true
	}
	return nil
}

func lowestFree(addresses string, taken map[string]bool) (string, error) {
	for last := 1; last <= mostLoadBalancers; last++ {
		address := fmt.Sprintf("%s.%d", addresses, last)
		if !taken[address] {
			return address, nil
		}
	}
	return "", fmt.Errorf("all %d addresses are taken", mostLoadBalancers)
}
