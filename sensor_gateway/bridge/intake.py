"""What the bridge makes of a message before it is queued: a checked line of line protocol, or the reason why not."""

from __future__ import annotations

from sensor_gateway.bridge.queue import Bad, Good
from sensor_gateway.mqtt_link import Incoming
from sensor_gateway.wire import topics
from sensor_gateway.wire.line import line
from sensor_gateway.wire.messages import MessageError, decode_message, message_record
from sensor_gateway.wire.topics import RecordTopic, TopicError


def sort_out(incoming: Incoming) -> Good | Bad:
    """Check one message; whatever is wrong with it becomes a reason, never an exception."""
    topic, payload = incoming.topic, incoming.payload
    message = None
    try:
        where = topics.parse_record(topic)
        message = decode_message(payload)
        if where != RecordTopic(message.site, message.gateway, message.wearer, message.kind):
            # Access is granted by topic, so a message must not speak for anybody else.
            named = f"{message.site}/{message.gateway}/{message.wearer}/{message.kind}"
            return Bad(topic, payload, f"names {named}, its topic does not", kind="speaker")
        record = message_record(message)
    except TopicError as e:
        return Bad(topic, payload, str(e), kind="topic")
    except MessageError as e:
        return Bad(topic, payload, str(e), message, "form" if message is None else "record")
    return Good(message, line(message.site, message.wearer, message.sensor, record))
