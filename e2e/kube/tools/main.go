// The programs of a Kubernetes for development in one binary:
//
//	kube etcd|apiserver|controller-manager|scheduler|kubelet|proxy [flags]
//	kube kubectl [arguments]          also when the binary is called kubectl
//	kube controllers --kubeconfig F --volumes D    volumes and load balancers, see controllers.go
//	kube pki --dir D ...                            certificates and kubeconfigs, see pki.go
//
// Only the chosen one is constructed: their flags and feature gates are global.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	_ "time/tzdata" // the time zones of CronJobs, on machines without them

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var components = map[string]func() *cobra.Command{
	"apiserver":          apiserver.NewAPIServerCommand,
	"controller-manager": controllermanager.NewControllerManagerCommand,
	"scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":            func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"proxy":              proxy.NewProxyCommand,
}

func main() {
	if filepath.Base(os.Args[0]) == "kubectl" {
		runKubectl()
		return
	}
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = append(os.Args[:1:1], os.Args[2:]...) // the component sees only its own flags
	}
	switch component := components[name]; {
	case component != nil:
		os.Exit(cli.Run(component()))
	case name == "etcd":
		etcdmain.Main(os.Args)
	case name == "kubectl":
		runKubectl()
	case name == "controllers":
		exitOn(runControllers(os.Args[1:]))
	case name == "pki":
		exitOn(writePKI(os.Args[1:]))
	default:
		exitOn(fmt.Errorf("usage: kube etcd|apiserver|controller-manager|scheduler|kubelet|proxy|kubectl|controllers|pki [flags]"))
	}
}

func runKubectl() {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
