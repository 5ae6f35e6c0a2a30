// One step of an account's life with golang.org/x/crypto/acme.
//
// Usage: acme_client DIRECTORY ACCOUNT-KEY STEP…, where a step is
//
//	obtain CHALLENGE KEY CHAIN NAME…   an account if there is none, an order, the chain into a file
//	update CONTACT | roll NEW-KEY | deactivate
//	revoke CHAIN [KEY]
//
// Answers to challenges go to the folders WEBROOT, ZONE and ALPN, which the tests' servers read; EAB is KEY-ID:SECRET,
// PREFERRED the name of the issuer whose chain is wanted.
package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
)

var ctx, cancel = context.WithTimeout(context.Background(), 2*time.Minute)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func load(path string) crypto.Signer {
	text, err := os.ReadFile(path)
	check(err)
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	check(err)
	return key.(crypto.Signer)
}

func store(path, kind string, blocks ...[]byte) {
	var text []byte
	for _, der := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	check(os.WriteFile(path, text, 0o644))
}

// answer lays out what the challenge asks for.
func answer(client *acme.Client, name string, challenge *acme.Challenge) {
	switch challenge.Type {
	case "http-01":
		text, err := client.HTTP01ChallengeResponse(challenge.Token)
		check(err)
		path := os.Getenv("WEBROOT") + client.HTTP01ChallengePath(challenge.Token)
		check(os.WriteFile(path, []byte(text), 0o644))
	case "dns-01":
		text, err := client.DNS01ChallengeRecord(challenge.Token)
		check(err)
		file, err := os.OpenFile(os.Getenv("ZONE")+"/_acme-challenge."+name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		check(err)
		fmt.Fprintln(file, text)
		check(file.Close())
	case "tls-alpn-01":
		made, err := client.TLSALPN01ChallengeCert(challenge.Token, name)
		check(err)
		key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
		check(err)
		store(os.Getenv("ALPN")+"/"+name+".key.pem", "PRIVATE KEY", key)
		store(os.Getenv("ALPN")+"/"+name+".crt.pem", "CERTIFICATE", made.Certificate...)
	}
}

func obtain(client *acme.Client, kind string, key crypto.Signer, chain string, names []string) {
	account := &acme.Account{Contact: []string{"mailto:one@example.org"}}
	if id, secret, found := strings.Cut(os.Getenv("EAB"), ":"); found {
		octets, err := base64.RawURLEncoding.DecodeString(secret)
		check(err)
		account.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: id, Key: octets}
	}
	if _, err := client.Register(ctx, account, acme.AcceptTOS); err != acme.ErrAccountAlreadyExists {
		check(err)
	}
	var wanted []acme.AuthzID
	template := &x509.CertificateRequest{}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			wanted = append(wanted, acme.IPIDs(name)...)
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			wanted = append(wanted, acme.DomainIDs(name)...)
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	order, err := client.AuthorizeOrder(ctx, wanted)
	check(err)
	for _, url := range order.AuthzURLs {
		authorization, err := client.GetAuthorization(ctx, url)
		check(err)
		for _, challenge := range authorization.Challenges {
			if challenge.Type == kind && authorization.Status == acme.StatusPending {
				answer(client, authorization.Identifier.Value, challenge)
				_, err = client.Accept(ctx, challenge)
				check(err)
				_, err = client.WaitAuthorization(ctx, url)
				check(err)
			}
		}
	}
	order, err = client.WaitOrder(ctx, order.URI)
	check(err)
	request, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	check(err)
	der, url, err := client.CreateOrderCert(ctx, order.FinalizeURL, request, true)
	check(err)
	if issuer := os.Getenv("PREFERRED"); issuer != "" {
		der = prefer(client, url, issuer)
	}
	store(chain, "CERTIFICATE", der...)
}

// prefer looks among the alternates for the chain whose end this issuer signed.
func prefer(client *acme.Client, url, issuer string) [][]byte {
	others, err := client.ListCertAlternates(ctx, url)
	check(err)
	for _, url := range others {
		der, err := client.FetchCert(ctx, url, true)
		check(err)
		last, err := x509.ParseCertificate(der[len(der)-1])
		check(err)
		if last.Issuer.CommonName == issuer {
			return der
		}
	}
	check(fmt.Errorf("%d alternates, none by %s", len(others), issuer))
	return nil
}

func main() {
	defer cancel()
	directory, step, words := os.Args[1], os.Args[3], os.Args[4:]
	client := &acme.Client{Key: load(os.Args[2]), DirectoryURL: directory, UserAgent: "cairn-interop"}
	switch step {
	case "obtain":
		obtain(client, words[0], load(words[1]), words[2], words[3:])
	case "update":
		_, err := client.UpdateReg(ctx, &acme.Account{Contact: words})
		check(err)
		account, err := client.GetReg(ctx, "")
		check(err)
		fmt.Println(account.Contact)
	case "roll":
		check(client.AccountKeyRollover(ctx, load(words[0])))
	case "deactivate":
		check(client.DeactivateReg(ctx))
	case "revoke":
		text, err := os.ReadFile(words[0])
		check(err)
		block, _ := pem.Decode(text)
		var key crypto.Signer
		if len(words) > 1 {
			key = load(words[1])
		}
		check(client.RevokeCert(ctx, key, block.Bytes, acme.CRLReasonSuperseded))
	default:
		check(fmt.Errorf("no such step: %s", step))
	}
}
