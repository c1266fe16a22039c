"""Commands over MQTT: what a therapist asks of a gateway from elsewhere, signed, bounded, never carried out twice."""
