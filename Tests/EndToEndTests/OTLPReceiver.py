"""A collector for tests, over the official OTLP classes: decodes what it is sent and prints one JSON object a line.

usage: OTLPReceiver.py [--cert FILE --key FILE]

The first line holds the port. `POST /answer` with a JSON object decides how requests are answered from then on: `status`, `retry_after`,
`rejected` (partial success), `hang` (no answer at all), `close` (the connection closes without an answer).
"""

import argparse
import gzip
import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

ANSWER = {"status": 200}
LOCK = threading.Lock()


def say(value):
    with LOCK:
        print(json.dumps(value), flush=True)


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def spans(request):
    for group in request.resource_spans:
        resource = attributes(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield {
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "state": span.trace_state,
                    "flags": span.flags,
                    "name": span.name,
                    "kind": span.kind,
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "status": span.status.code,
                    "attributes": attributes(span.attributes),
                    "resource": resource,
                    "scope": scope.scope.name,
                }


def points(request):
    for group in request.resource_metrics:
        resource = attributes(group.resource.attributes)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                for point in data.data_points:
                    entry = {
                        "name": metric.name,
                        "unit": metric.unit,
                        "kind": kind,
                        "start": point.start_time_unix_nano,
                        "time": point.time_unix_nano,
                        "attributes": attributes(point.attributes),
                        "resource": resource,
                    }
                    if kind == "histogram":
                        entry.update(
                            count=point.count, sum=point.sum, buckets=list(point.bucket_counts), bounds=list(point.explicit_bounds)
                        )
                    else:
                        entry["value"] = getattr(point, point.WhichOneof("value"))
                    if kind != "gauge":
                        entry["temporality"] = data.aggregation_temporality
                    if kind == "sum":
                        entry["monotonic"] = data.is_monotonic
                    yield entry


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/answer":
            ANSWER.clear()
            ANSWER.update(json.loads(body))
            return self.answer(200, b"")
        said = dict(ANSWER)
        coding = self.headers.get("Content-Encoding", "")
        raw = gzip.decompress(body) if coding == "gzip" else body
        line = {"path": self.path, "coding": coding, "type": self.headers.get("Content-Type"), "answer": said, "at": time.time()}
        if self.path.endswith("/v1/traces"):
            request, response = traces.ExportTraceServiceRequest.FromString(raw), traces.ExportTraceServiceResponse()
            line["spans"] = list(spans(request))
            if "rejected" in said:
                response.partial_success.rejected_spans = said["rejected"]
                response.partial_success.error_message = "not wanted"
        elif self.path.endswith("/v1/metrics"):
            request, response = metrics.ExportMetricsServiceRequest.FromString(raw), metrics.ExportMetricsServiceResponse()
            line["points"] = list(points(request))
        else:
            return self.answer(404, b"")
        say(line)
        if said.get("hang"):
            time.sleep(3600)
        if said.get("close"):
            self.close_connection = True
            return None
        return self.answer(said.get("status", 200), response.SerializeToString(), said.get("retry_after"))

    def answer(self, status, body, retry_after=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--cert")
    arguments.add_argument("--key")
    options = arguments.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    say({"port": server.server_address[1]})
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
