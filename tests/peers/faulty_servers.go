// Servers of Go's net/http that stand where a challenge should be answered.
//
// Usage: faulty_servers CERTIFICATE KEY ROUTER TLS…: the page of a router at the address ROUTER, HTTPS at each address TLS.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func page(answer http.ResponseWriter, _ *http.Request) {
	answer.Header().Set("Server", "SpeedLine 7490 httpd")
	answer.Header().Set("Content-Type", "text/html")
	io.WriteString(answer, "<html><title>SpeedLine 7490 - Login</title></html>")
}

func main() {
	certificate, key, router := os.Args[1], os.Args[2], os.Args[3]
	for _, address := range os.Args[4:] {
		go func(address string) {
			log.Fatal(http.ListenAndServeTLS(address, certificate, key, http.NotFoundHandler()))
		}(address)
	}
	log.Fatal(http.ListenAndServe(router, http.HandlerFunc(page)))
}
