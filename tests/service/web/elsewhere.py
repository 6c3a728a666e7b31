"""A real server on another address, for foreign text to ask."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Elsewhere:
    """Another site, which remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        elsewhere = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                elsewhere.asked.append(f"{self.command} {self.path}")
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("access-control-allow-origin", "*")
                self.end_headers()
                self.wfile.write(b"<script>document.title = 'elsewhere'</script>")

            do_POST = do_GET

            def log_message(self, format: str, *values: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
