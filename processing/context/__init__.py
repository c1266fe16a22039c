"""Context: what the wearer does, second by second. Cells (`features.movement`) to movements, movements to belief to posture."""
