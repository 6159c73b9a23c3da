// The command kube-controller-manager is the one of Kubernetes. Two intervals of the Job controller can be shortened by
// the environment, for tests: JOB_POD_BACKOFF (10s: what a Job waits before it replaces a pod that ended) and
// JOB_SYNC_PERIOD (1s: how long it collects changes). Kubernetes exports both variables for tests of its own.
package main

import (
	"fmt"
	"os"
	"time"
	_ "time/tzdata"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/pkg/controller/job"
)

func shorten(variable string, interval *time.Duration) {
	text, set := os.LookupEnv(variable)
	if !set {
		return
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", variable, err)
		os.Exit(2)
	}
	*interval = value
}

func main() {
	shorten("JOB_POD_BACKOFF", &job.DefaultJobPodFailureBackOff)
	shorten("JOB_SYNC_PERIOD", &job.SyncJobBatchPeriod)
	os.Exit(cli.Run(app.NewControllerManagerCommand()))
}
