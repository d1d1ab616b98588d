// Command franz-go runs checks with the franz-go client, or stands in front of a server that wants SASL for clients that cannot.
//
//	franz-go checks
//	franz-go proxy    (prints its address, then serves until it is killed)
//
// Both need BOOTSTRAP_SERVERS, API_KEY and API_SECRET.
package main

import (
	"fmt"
	"os"
)

func main() {
	mode := ""
	if len(os.Args) == 2 {
		mode = os.Args[1]
	}
	switch mode {
	case "checks":
		os.Exit(runChecks())
	case "proxy":
		if err := serveProxy(os.Getenv("BOOTSTRAP_SERVERS"), os.Getenv("API_KEY"), os.Getenv("API_SECRET")); err != nil {
			fmt.Fprintln(os.Stderr, "proxy:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: franz-go checks|proxy")
		os.Exit(2)
	}
}
