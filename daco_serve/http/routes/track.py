"""`/v1/track`, a WebSocket: a client sends the frames of one camera, and gets its position after each."""

from contextlib import suppress

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from daco_serve.engine.answers import QueryError
from daco_serve.engine.service import Service
from daco_serve.http.middleware.rates import client_of
from daco_serve.http.refusals import Refusal
from daco_serve.http.track_schemas import TrackFailure
from daco_serve.http.tracking.conversation import LATER, TRY_AGAIN_LATER, Conversation
from daco_serve.http.tracking.places import Tracks

router = APIRouter()

POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1
MOST_REASON = 120  # bytes of the reason for closing a connection
PROTOCOL = "daco.track"  # a client that offers it gets errors as messages: browsers do not show a rejected handshake


@router.websocket("/v1/track")
async def track(websocket: WebSocket, index: str | None = None) -> None:
    """Tracks a camera. Text messages are JSON: settings first, if any; a header before a frame, if it has one; and
    `{"type": "finish"}` at the end. A binary message is a frame. Each frame that is not dropped is answered."""
    service: Service = websocket.app.state.service
    tracks: Tracks = websocket.app.state.tracks
    protocol = PROTOCOL if PROTOCOL in websocket.scope.get("subprotocols", []) else None
    try:
        service.choose(index)
        with tracks.one(client_of(websocket.scope)) as place:
            await websocket.accept(protocol)
            await Conversation(websocket, service, index, place).run()
    except (Refusal, QueryError) as error:
        refusal = error if isinstance(error, Refusal) else Refusal(error.code, error.message)
        if protocol is None:
            await websocket.send_denial_response(refusal.response())
            return
        with suppress(WebSocketDisconnect, RuntimeError):  # the client has already disconnected
            await websocket.accept(protocol)
            await websocket.send_text(TrackFailure.of(refusal.code, refusal.message, None, 0).model_dump_json())
            await websocket.close(
                TRY_AGAIN_LATER if refusal.status in LATER else POLICY_VIOLATION, _reason(refusal.message)
            )


def _reason(message: str) -> str:
    return message.encode()[:MOST_REASON].decode("utf-8", "ignore")
