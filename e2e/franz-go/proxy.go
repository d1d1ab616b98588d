package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// largestFrame bounds what one frame may make the proxy allocate.
const largestFrame = 128 << 20

// serveProxy accepts clients without authentication and logs in for them. Only what names the server's address is rewritten
// (metadata, coordinators, the cluster's description), so that clients stay on the proxy; every other byte passes unchanged.
// The server must be a single node.
func serveProxy(backend, key, secret string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().String())
	address := listener.Addr().(*net.TCPAddr)
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", backend)
			if err != nil {
				return
			}
			defer server.Close()
			if err := login(server, key, secret); err != nil {
				fmt.Println("login failed:", err)
				return
			}
			link := &link{client: client, server: server, address: address, pending: map[int32]request{}}
			go link.forwardRequests()
			link.forwardResponses()
		}()
	}
}

// request is what must be known of a request to read its response.
type request struct {
	key, version int16
}

type link struct {
	client, server net.Conn
	address        *net.TCPAddr
	mutex          sync.Mutex
	pending        map[int32]request
}

func login(server net.Conn, key, secret string) error {
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("proxy"))
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version = 1
	handshake.Mechanism = "PLAIN"
	authenticate := kmsg.NewPtrSASLAuthenticateRequest()
	authenticate.Version = 1
	authenticate.SASLAuthBytes = []byte("\x00" + key + "\x00" + secret)
	for correlation, message := range []kmsg.Request{handshake, authenticate} {
		if _, err := server.Write(formatter.AppendRequest(nil, message, int32(correlation))); err != nil {
			return err
		}
		frame, err := readFrame(server)
		if err != nil {
			return err
		}
		response := message.ResponseKind()
		response.SetVersion(message.GetVersion())
		if err := response.ReadFrom(frame[4:]); err != nil {
			return err
		}
		switch response := response.(type) {
		case *kmsg.SASLHandshakeResponse:
			if response.ErrorCode != 0 {
				return fmt.Errorf("handshake: error %d", response.ErrorCode)
			}
		case *kmsg.SASLAuthenticateResponse:
			if response.ErrorCode != 0 {
				return fmt.Errorf("authenticate: error %d", response.ErrorCode)
			}
		}
	}
	return nil
}

func (l *link) forwardRequests() {
	defer l.server.Close()
	for {
		frame, err := readFrame(l.client)
		if err != nil || len(frame) < 8 {
			return
		}
		asked := request{int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))}
		if namesAddresses(asked.key) {
			l.mutex.Lock()
			l.pending[int32(binary.BigEndian.Uint32(frame[4:]))] = asked
			l.mutex.Unlock()
		}
		if writeFrame(l.server, frame) != nil {
			return
		}
	}
}

func (l *link) forwardResponses() {
	defer l.client.Close()
	for {
		frame, err := readFrame(l.server)
		if err != nil || len(frame) < 4 {
			return
		}
		correlation := int32(binary.BigEndian.Uint32(frame))
		l.mutex.Lock()
		asked, rewritten := l.pending[correlation]
		delete(l.pending, correlation)
		l.mutex.Unlock()
		if rewritten {
			if frame, err = l.rewrite(frame, asked); err != nil {
				fmt.Println("cannot rewrite a response:", err)
				return
			}
		}
		if writeFrame(l.client, frame) != nil {
			return
		}
	}
}

func namesAddresses(key int16) bool {
	return key == int16(kmsg.Metadata) || key == int16(kmsg.FindCoordinator) || key == int16(kmsg.DescribeCluster)
}

// rewrite replaces the server's address by the proxy's.
func (l *link) rewrite(frame []byte, asked request) ([]byte, error) {
	response := kmsg.ResponseForKey(asked.key)
	response.SetVersion(asked.version)
	header := 4
	if response.IsFlexible() {
		header = 5 // An empty section of tagged fields.
		if len(frame) < header || frame[4] != 0 {
			return nil, errors.New("the response header has tagged fields")
		}
	}
	if err := response.ReadFrom(frame[header:]); err != nil {
		return nil, err
	}
	host, port := l.address.IP.String(), int32(l.address.Port)
	switch response := response.(type) {
	case *kmsg.MetadataResponse:
		if len(response.Brokers) > 1 {
			return nil, errors.New("more than one node: " + strconv.Itoa(len(response.Brokers)))
		}
		for index := range response.Brokers {
			response.Brokers[index].Host, response.Brokers[index].Port = host, port
		}
	case *kmsg.FindCoordinatorResponse:
		if response.ErrorCode == 0 {
			response.Host, response.Port = host, port
		}
		for index := range response.Coordinators {
			if response.Coordinators[index].ErrorCode == 0 {
				response.Coordinators[index].Host, response.Coordinators[index].Port = host, port
			}
		}
	case *kmsg.DescribeClusterResponse:
		for index := range response.Brokers {
			response.Brokers[index].Host, response.Brokers[index].Port = host, port
		}
	}
	return response.AppendTo(append([]byte(nil), frame[:header]...)), nil
}

func readFrame(from io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(size[:])
	if length > largestFrame {
		return nil, fmt.Errorf("a frame of %d bytes", length)
	}
	frame := make([]byte, length)
	_, err := io.ReadFull(from, frame)
	return frame, err
}

func writeFrame(to io.Writer, frame []byte) error {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(frame)))
	_, err := (&net.Buffers{size[:], frame}).WriteTo(to)
	return err
}
