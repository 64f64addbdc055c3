"""tokens.py - an OAuth token endpoint over https on loopback: client credentials in, JWTs of the tests' issuer out."""
import base64
import http.server
import json
import ssl
import threading
import urllib.parse


class Endpoint:
    """`url` while it runs; `given` and `refused` count its answers. Thread: one of its own."""

    def __init__(self, issuer, certificate, client_id, secret, lives=6):
        self.issuer, self.lives = issuer, lives
        self.given = self.refused = 0
        self.wanted = [client_id, secret]
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):                                          # noqa: N802, the library's name
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self._answer(*endpoint.answer(self.headers.get("Authorization"), form))

            def _answer(self, code, body):
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, authorization, form):
        kind, _, pair = (authorization or "").partition(" ")
        if kind != "Basic" or [urllib.parse.unquote_plus(x) for x in base64.b64decode(pair).decode().split(":")] != self.wanted:
            self.refused += 1
            return 401, {"error": "invalid_client", "error_description": "who is that"}
        assert form == {"grant_type": ["client_credentials"], "scope": ["produce"]}, form
        self.given += 1
        return 200, {"access_token": self.issuer.token(lives=self.lives), "token_type": "Bearer", "expires_in": self.lives}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
