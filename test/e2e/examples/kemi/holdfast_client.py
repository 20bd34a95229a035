"""A Holdfast client for SIP proxies in Python. Needs python3-grpcio, and stubs that protoc generates from proto/.

The settings are those of holdfast/client, whose pages give the reasons.
"""

import json
import os
import uuid

# Between calls gRPC reads its connections only this often; the default of 5 s is too long to notice the response to a
# keepalive ping. gRPC reads this variable once, when it is imported.
os.environ.setdefault("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "250")

import grpc  # noqa: E402

from holdfast.v1 import selection_pb2 as messages  # noqa: E402
from holdfast.v1.selection_pb2_grpc import SelectionServiceStub  # noqa: E402

SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "holdfast.v1.SelectionService"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}

CHANNEL_OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_reconnect_backoff_ms", 5000),
]

ATTEMPT_SECONDS = 0.5
ATTEMPTS = 5


class Holdfast:
    """Opens a channel. In a program that forks, make it after the fork."""

    def __init__(self, target, credentials=None):
        """target: such as dns:///holdfast-headless:7400 or ipv4:192.0.2.5:7400,192.0.2.6:7400"""
        if credentials:
            channel = grpc.secure_channel(target, credentials, CHANNEL_OPTIONS)
        else:
            channel = grpc.insecure_channel(target, CHANNEL_OPTIONS)
        self._service = SelectionServiceStub(channel)

    def select(self, call_id, **more):
        """The relay of the call: for each INVITE and re-INVITE."""
        request = messages.SelectRequest(call_id=call_id, request_id=uuid.uuid4().hex, **more)
        return self._ask(self._service.Select, request).binding

    def lookup(self, call_id):
        """The relay of the call as etcd has it, without any change: for a BYE. None if the call is not bound."""
        try:
            return self._ask(self._service.Lookup, messages.LookupRequest(call_id=call_id, current=True)).binding
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise

    def move(self, call_id, generation, reason):
        """Another relay for a call whose relay did not answer its first offer."""
        request = messages.MoveRequest(
            call_id=call_id, generation=generation, reason=reason, request_id=uuid.uuid4().hex
        )
        return self._ask(self._service.Move, request).binding

    def release(self, binding):
        """The call has ended. One that has begun again since the binding was looked up goes on."""
        request = messages.ReleaseRequest(
            call_id=binding.call_id, set=binding.relay.set, via_branch=binding.via_branch, beginning=binding.beginning
        )
        self._ask(self._service.Release, request)

    def _ask(self, method, request):
        """gRPC itself retries UNAVAILABLE. After a deadline, try again: round_robin picks another replica."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return method(request, timeout=ATTEMPT_SECONDS)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or attempt == ATTEMPTS:
                    raise
