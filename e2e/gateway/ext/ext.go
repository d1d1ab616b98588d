// Package ext is what Traefik's go.mod finds in its own repository and the Go module proxy does not serve: no additions to its
// configuration.
package ext

// HTTP adds nothing.
type HTTP struct{}

// Router adds nothing.
type Router struct{}
