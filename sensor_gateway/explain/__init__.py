"""Why a flag was raised: its chain, its words, its picture, and a second reading of its inputs."""
