// The command argolint checks files of Workflows with Argo's own linter: strictly, and without a server.
//
// It prints what is wrong, one line each, and ends with status 1; status 2 means that it could not look.
package main

import (
	"fmt"
	"os"

	"github.com/argoproj/argo-workflows/v3/cmd/argo/lint"
	"github.com/argoproj/argo-workflows/v3/pkg/apiclient"
)

func main() {
	files := os.Args[1:]
	if len(files) == 0 {
		fmt.Fprintln(os.Stderr, "usage: argolint FILE...")
		os.Exit(2)
	}
	ctx, client, err := apiclient.NewClientFromOpts(apiclient.Opts{Offline: true, OfflineFiles: files})
	if err != nil {
		// It reads the files for templates that they share: what is no Workflow by its types is told here already.
		fmt.Println(err)
		os.Exit(1)
	}
	formatter, err := lint.GetFormatter("simple")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	found, err := lint.Lint(ctx, &lint.LintOptions{
		Files:            files,
		Strict:           true,
		DefaultNamespace: "kubeflow",
		Formatter:        formatter,
		ServiceClients:   lint.ServiceClients{WorkflowsClient: client.NewWorkflowServiceClient()},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if !found.Success {
		fmt.Print(found.Msg())
		os.Exit(1)
	}
}
