"""Device time to UTC: `timebase` live, `stretch` for days derived again, `retro` with hindsight, and what they are made of."""
