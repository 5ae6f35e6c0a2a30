"""A TLS server for tls-alpn-01 that shows the certificates which a client lays into a folder.

Usage: alpn_responder.py ADDRESS FOLDER
Serves port 443; the certificate for NAME is FOLDER/NAME.crt.pem, its key FOLDER/NAME.key.pem.
"""

import pathlib
import socketserver
import ssl
import sys

address, folder = sys.argv[1], pathlib.Path(sys.argv[2])


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_alpn_protocols(["acme-tls/1"])
    return made


def choose(connection, name, _):
    """Called with the client's server name; without one of ours, the handshake ends with an alert."""
    chosen = context()
    try:
        chosen.load_cert_chain(folder / f"{name}.crt.pem", folder / f"{name}.key.pem")
    except OSError:
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    connection.context = chosen
    return None


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        first = context()
        first.sni_callback = choose
        try:
            first.wrap_socket(self.request, server_side=True).close()
        except OSError as error:
            print(error, flush=True)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server((address, 443), Handler) as server:
    print("Serving", flush=True)
    server.serve_forever()
