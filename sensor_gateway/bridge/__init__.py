"""The bridge: MQTT to InfluxDB without loss, with a queue, dead letters and books of its own."""
