"""What a running process says of itself: books, vital signs, troubles, for people, MQTT and Prometheus."""
