"""Runs a package index with TLS, for which the machine's certificates are not enough."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class PrivateIndex:
    """An empty package index, whose certificate an authority of its own has signed.

    authority: the file with the authority's certificate. requests: the paths that were requested.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "ca.pem"
        self.requests: list[str] = []
        openssl = "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"
        own = "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority"
        leaf = "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=index"
        signed = "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1"
        for arguments in (own, (*leaf, *signed, "-addext", "basicConstraints=critical,CA:FALSE")):
            subprocess.run([*openssl, *arguments], cwd=folder, capture_output=True, check=True)
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/simple"


@contextmanager
def running_private_index(folder: Path) -> Iterator[PrivateIndex]:
    """Run the index, with its keys in a folder."""
    index = PrivateIndex(folder)
    thread = threading.Thread(target=index.server.serve_forever)
    thread.start()
    try:
        yield index
    finally:
        index.server.shutdown()
        index.server.server_close()
        thread.join()
