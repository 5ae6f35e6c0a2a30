// A test CA for the tests of an ACME client in Go. Standard library only.
package cairnca

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// CA is a running test CA.
type CA struct {
	Directory string
	Root      string
	Manage    string
}

// Start starts one, at ports of its own, and ends it with the test.
func Start(t *testing.T, words ...string) *CA {
	t.Helper()
	program := os.Getenv("CAIRN")
	if program == "" {
		program = "cairn"
	}
	at := "127.0.0.1:0"
	words = append([]string{"ca", "dev", "--json", "--listen", at, "--manage", at, "--dns", at}, words...)
	command := exec.Command(program, words...)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(out)
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_, _ = reader.WriteTo(os.Stderr)
		if err := command.Wait(); err != nil {
			t.Errorf("the test CA: %v", err)
		}
	})
	line, err := reader.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the test CA does not start: %v", err)
	}
	ca := new(CA)
	if err := json.Unmarshal(line, ca); err != nil {
		t.Fatal(err)
	}
	return ca
}

// Client is an HTTP client that trusts the CA.
func (ca *CA) Client(t *testing.T) *http.Client {
	t.Helper()
	root, err := os.ReadFile(ca.Root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

// Post calls the management interface, such as Post(t, "/faults", `{"fault": "directory:503 once"}`).
func (ca *CA) Post(t *testing.T, path, body string) {
	t.Helper()
	answer, err := http.Post(ca.Manage+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", path, body, answer.Status)
	}
}

func TestDirectoryComesBackAfterA503(t *testing.T) {
	ca := Start(t, "--check-client")
	client := ca.Client(t)
	ca.Post(t, "/faults", `{"fault": "directory:503 once"}`)
	for _, wanted := range []int{503, 200} {
		answer, err := client.Get(ca.Directory)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != wanted {
			t.Fatalf("%s in place of %d", answer.Status, wanted)
		}
	}
}
