// Reads rules and dashboards as Prometheus does, and prints the metrics that they are about, one per line.
//
//	promql RULES DASHBOARD...
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sort"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// What Grafana replaces before it asks Prometheus.
var grafana = strings.NewReplacer("$__rate_interval", "5m", "$logical_cluster", ".*")

func main() {
	if len(os.Args) < 2 {
		fail("usage: promql RULES DASHBOARD...")
	}
	expressions := rules(os.Args[1])
	for _, file := range os.Args[2:] {
		expressions = append(expressions, dashboard(file)...)
	}
	metrics := map[string]bool{}
	for _, expression := range expressions {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
		if err != nil {
			fail(fmt.Sprintf("%s: %v", expression, err))
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			if selector, is := node.(*parser.VectorSelector); is {
				metrics[selector.Name] = true
			}
			return nil
		})
	}
	names := make([]string, 0, len(metrics))
	for name := range metrics {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Println(strings.Join(names, "\n"))
}

// rules checks the whole file, labels and templates of annotations too.
func rules(file string) []string {
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	if len(errs) > 0 {
		fail(fmt.Sprintf("%s: %v", file, errs))
	}
	var expressions []string
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expressions = append(expressions, rule.Expr)
		}
	}
	return expressions
}

func dashboard(file string) []string {
	content, err := os.ReadFile(file)
	if err != nil {
		fail(err.Error())
	}
	var read struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &read); err != nil {
		fail(fmt.Sprintf("%s: %v", file, err))
	}
	var expressions []string
	for _, panel := range read.Panels {
		if len(panel.Targets) == 0 {
			fail(fmt.Sprintf("%s: panel %q shows nothing", file, panel.Title))
		}
		for _, target := range panel.Targets {
			expressions = append(expressions, grafana.Replace(target.Expr))
		}
	}
	return expressions
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
