package main

// Certificates and kubeconfigs of a cluster that lives for an hour or a week. One authority signs everything.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const validity = 10 * 365 * 24 * time.Hour

// Clocks of one machine do not differ, but a certificate from this very second is refused by some.
const backdated = time.Hour

type authority struct {
	dir         string
	server      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func writePKI(args []string) error {
	flags := flag.NewFlagSet("pki", flag.ExitOnError)
	dir := flags.String("dir", "", "folder to write")
	address := flags.String("address", "", "address of the API server")
	service := flags.String("service-address", "", "address of the Service kubernetes")
	nodes := flags.Int("nodes", 1, "how many nodes get credentials")
	_ = flags.Parse(args)
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(*dir, "https://"+net.JoinHostPort(*address, "6443"))
	if err != nil {
		return err
	}
	if err := ca.writeServiceAccountKeys(); err != nil {
		return err
	}
	apiserver := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(*address), net.ParseIP(*service)},
		DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local"},
	}
	if err := ca.issue("apiserver", apiserver); err != nil {
		return err
	}
	masters := "system:masters"
	if err := ca.issue("apiserver-kubelet", client(masters, "kube-apiserver-kubelet-client")); err != nil {
		return err
	}
	if err := ca.issue("front-proxy", client("", "front-proxy-client")); err != nil {
		return err
	}
	users := map[string]*x509.Certificate{
		"admin":              client(masters, "admin"),
		"controller-manager": client("", "system:kube-controller-manager"),
		"scheduler":          client("", "system:kube-scheduler"),
		"proxy":              client("", "system:kube-proxy"),
	}
	for node := 1; node <= *nodes; node++ {
		users[fmt.Sprintf("node-%d", node)] = client("system:nodes", fmt.Sprintf("system:node:n%d", node))
	}
	for name, template := range users {
		if err := ca.issue(name, template); err != nil {
			return err
		}
		if err := ca.writeKubeconfig(name); err != nil {
			return err
		}
	}
	return nil
}

func client(group, name string) *x509.Certificate {
	subject := pkix.Name{CommonName: name}
	if group != "" {
		subject.Organization = []string{group}
	}
	return &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

func newAuthority(dir, server string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "kubernetes-for-development"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	ca := &authority{dir: dir, server: server, certificate: template, key: key}
	der, err := ca.sign(template, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	if ca.certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return ca, ca.write("ca", der, key)
}

func (ca *authority) issue(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := ca.sign(template, &key.PublicKey)
	if err != nil {
		return err
	}
	return ca.write(name, der, key)
}

func (ca *authority) sign(template *x509.Certificate, public *ecdsa.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-backdated)
	template.NotAfter = time.Now().Add(validity)
	return x509.CreateCertificate(rand.Reader, template, ca.certificate, public, ca.key)
}

func (ca *authority) write(name string, certificate []byte, key *ecdsa.PrivateKey) error {
	if err := ca.writePEM(name+".crt", "CERTIFICATE", certificate); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return ca.writePEM(name+".key", "PRIVATE KEY", der)
}

// The pair that signs and checks the tokens of service accounts.
func (ca *authority) writeServiceAccountKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := ca.writePEM("sa.key", "PRIVATE KEY", private); err != nil {
		return err
	}
	return ca.writePEM("sa.pub", "PUBLIC KEY", public)
}

func (ca *authority) writePEM(file, kind string, der []byte) error {
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(ca.dir, file), text.Bytes(), 0o600)
}

// Certificates lie inside, so that the file can be copied.
func (ca *authority) writeKubeconfig(name string) error {
	contents := map[string][]byte{}
	for _, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
		text, err := os.ReadFile(filepath.Join(ca.dir, file))
		if err != nil {
			return err
		}
		contents[file] = text
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["development"] = &clientcmdapi.Cluster{Server: ca.server, CertificateAuthorityData: contents["ca.crt"]}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: contents[name+".crt"], ClientKeyData: contents[name+".key"]}
	config.Contexts["development"] = &clientcmdapi.Context{Cluster: "development", AuthInfo: name}
	config.CurrentContext = "development"
	return clientcmd.WriteToFile(*config, filepath.Join(ca.dir, name+".conf"))
}
